// Events as `outbox.add` records them, many at a time; and the pause that keeps the relay from them until all are there.
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('./system.mjs').System} System */

const CHUNK = 50_000;

/** A valid UUID made of a text. @param {string} text */
const uuidOf = (text) => `overlay(overlay(md5(${text}) placing '4' from 13) placing '8' from 17)::uuid`;

const EVENTS = `
with item as (
  select ${uuidOf('$4 || (n * $8 % $2)::text')} as id, n * $8 / $2 + $7 as version, n % $3 as bucket
  from generate_series($5::bigint, $6::bigint) n),
event as (
  insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
  select uuidv7(), 'maker.item.changed.v1', epoch, 'maker.item', id::text, version, (select last_value from messaging.page),
         uuidv7()::text, json_build_object('itemId', id, 'version', version, 'bucket', bucket, 'amount', 1, 'note', $1::text)
  from item, messaging.log order by version
  returning position, octet_length(data::text) as bytes)`;
const INTO_OUTBOX = `${EVENTS} insert into messaging.outbox (position, bytes) select position, bytes + 2048 from event`;
const INTO_LOG_ALONE = `${EVENTS} select count(*) from event`;

const STREAMS = `
insert into messaging.streams (epoch, aggregate, subject, last_sequence)
select epoch, 'maker.item', ${uuidOf('$1 || n')}::text, $3 from generate_series(0, $2::bigint - 1) n, messaging.log`;

const GATE = `
insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
select $1, '/maker', $2, 'maker.item', ${uuidOf('$3 || n')}::text, $5, gen_random_uuid()
from generate_series(0, $4::bigint - 1) n`;

/**
 * Records a backlog. Streams take turns, so that a batch has as many streams as it can.
 * @param {System} system
 * @param {{ events: number, perStream?: number, streams?: number, firstVersion?: number, buckets?: number, salt?: string,
 *   service?: string, waiting?: boolean, tell?: (share: number) => void }} options
 *   `streams` that are there already, by {@link seedStreams}; `waiting`: not published yet
 */
export async function record(system, options) {
  const {
    events,
    perStream = 1,
    firstVersion = 1,
    buckets = 1,
    salt = 's',
    service = 'maker',
    waiting = true,
  } = options;
  const streams = options.streams ?? events / perStream;
  if (options.streams === undefined) await system.rows(service, STREAMS, [salt, streams, perStream]);
  const stride = Math.max(1, Math.floor(streams / events));
  for (let from = 0; from < events; from += CHUNK) {
    const to = Math.min(events, from + CHUNK) - 1;
    const values = ['x'.repeat(80), streams, buckets, salt, from, to, firstVersion, stride];
    await system.rows(service, waiting ? INTO_OUTBOX : INTO_LOG_ALONE, values);
    options.tell?.(to / events);
  }
  await system.rows(service, 'analyze messaging.events, messaging.outbox, messaging.streams');
  await system.rows(service, 'checkpoint');
}

/** Streams whose first events both sides have had, long ago. @param {System} system @param {{ streams: number, salt: string }} options */
export async function seedStreams(system, { streams, salt }) {
  await system.rows('maker', STREAMS, [salt, streams, 1]);
  await passGate(system, { streams, salt, upTo: 1 });
}

/** As if the taker had applied them. @param {System} system @param {{ streams: number, salt: string, upTo: number }} options */
async function passGate(system, { streams, salt, upTo }) {
  const [{ epoch }] = await system.rows('maker', 'select epoch from messaging.log');
  await system.rows('taker', GATE, ['taker', epoch, salt, streams, upTo]);
  await system.rows('taker', 'analyze messaging.inbox_streams');
  await system.rows('taker', 'checkpoint');
}

/**
 * History that was recorded, published and applied, long ago. Neither service may be running.
 * @param {System} system
 * @param {{ events: number, perStream: number, reaction: string, tell: (share: number) => void }} options
 *   `reaction`: the class that has applied them
 */
export async function makeHistory(system, { events, perStream, reaction, tell }) {
  const salt = 'history';
  await record(system, { events, perStream, salt, waiting: false, tell });
  await passGate(system, { streams: events / perStream, salt, upTo: perStream });
  const [page] = await system.rows(
    'maker',
    'select epoch, page, count(*) as applied from messaging.events group by 1, 2',
  );
  const columns = `(inbox, source, epoch, aggregate, page, applied) values ('taker', '/maker', $1, 'maker.item', $2, $3)`;
  await system.rows('taker', `insert into messaging.inbox_pages ${columns}`, [page.epoch, page.page, page.applied]);
  // Or the inbox would not take a reaction that is new to it.
  const reactions = `insert into messaging.reactions (inbox, reaction, type) values ('taker', $1, 'maker.item.changed.v1')`;
  await system.rows('taker', reactions, [reaction]);
}

/** The relay publishes nothing until {@link release}. @param {System} system */
export async function hold(system) {
  await system.rows('maker', `insert into messaging.pauses (scope, reason, by) values ('relay', 'benchmark', 'bench')`);
  await sleep(1_500); // it looks every second
}

/** @param {System} system */
export const release = (system) => system.rows('maker', `delete from messaging.pauses where scope = 'relay'`);
