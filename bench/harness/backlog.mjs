// Events as `outbox.add` records them, many at a time; and the pause that keeps the relay from them until all are there.
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('./system.mjs').System} System */

const CHUNK = 50_000;

/**
 * The id of the n-th item of a day, as `newId` would have made it: a UUID of version 7, so that items sort as they were made. Ids without
 * an order cost Postgres twice as much where there are a million of them (ADR 7).
 * @param {string} day of the year 2026, SQL
 * @param {string} n SQL
 */
const itemId = (day, n) => `
  overlay(overlay(overlay(md5(${day}::text || ' ' || ${n}) placing '8' from 17) placing '7' from 13)
    placing lpad(to_hex(1767225600000 + ${day}::bigint * 86400000 + (${n})::bigint / 16), 12, '0') from 1)::uuid`;

const EVENTS = `
with item as (
  select ${itemId('$4', '(n * $8 % $2)')} as id, n / $2 + $7 as version, n % $3 as bucket
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
select epoch, 'maker.item', ${itemId('$1', 'n')}::text, $3 from generate_series(0, $2::bigint - 1) n, messaging.log`;

const GATE = `
insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
select $1, '/maker', $2, 'maker.item', ${itemId('$3', 'n')}::text, $5, gen_random_uuid()
from generate_series(0, $4::bigint - 1) n`;

/** Coprime to the numbers of streams, which are powers of ten: by steps of it, each has its turn, far away from the one before. */
const FAR_STEP = 7_368_787;

/**
 * Records a backlog. Streams take turns, so that a batch has as many streams as it can.
 * @param {System} system
 * @param {{ events: number, perStream?: number, streams?: number, skip?: number, buckets?: number, day?: number,
 *   service?: string, waiting?: boolean, tell?: (share: number) => void }} options
 *   `streams` of the day that are there already, by {@link seedStreams}, else they are new; `skip`: so many events of theirs were
 *   recorded before; `waiting`: not published yet
 */
export async function record(system, options) {
  const { events, perStream = 1, skip = 0, buckets = 1, day = 1, service = 'maker', waiting = true } = options;
  const isNew = options.streams === undefined;
  const streams = options.streams ?? events / perStream;
  if (isNew) await system.rows(service, STREAMS, [day, streams, perStream]);
  const [firstVersion, step] = isNew ? [1, 1] : [2, FAR_STEP];
  for (let done = 0; done < events; done += CHUNK) {
    const from = skip + done;
    const to = skip + Math.min(events, done + CHUNK) - 1;
    const values = ['x'.repeat(80), streams, buckets, day, from, to, firstVersion, step];
    await system.rows(service, waiting ? INTO_OUTBOX : INTO_LOG_ALONE, values);
    options.tell?.((to - skip) / events);
  }
  await settle(system, service, 'messaging.events, messaging.outbox, messaging.streams');
}

/**
 * What Postgres does within minutes after so many rows, or it would do it while they drain.
 * @param {System} system
 * @param {string} service
 * @param {string} tables
 */
async function settle(system, service, tables) {
  await system.rows(service, `vacuum (analyze) ${tables}`);
  await system.rows(service, 'checkpoint');
}

/** Streams whose first events both sides have had, long ago. @param {System} system @param {{ streams: number, day: number }} options */
export async function seedStreams(system, { streams, day }) {
  await system.rows('maker', STREAMS, [day, streams, 1]);
  await passGate(system, { streams, day, upTo: 1 });
}

/** As if the taker had applied them. @param {System} system @param {{ streams: number, day: number, upTo: number }} options */
async function passGate(system, { streams, day, upTo }) {
  const [{ epoch }] = await system.rows('maker', 'select epoch from messaging.log');
  await system.rows('taker', GATE, ['taker', epoch, day, streams, upTo]);
  await settle(system, 'taker', 'messaging.inbox_streams');
}

/**
 * History that was recorded, published and applied, long ago. Neither service may be running.
 * @param {System} system
 * @param {{ events: number, perStream: number, reaction: string, tell: (share: number) => void }} options
 *   `reaction`: the class that has applied them
 */
export async function makeHistory(system, { events, perStream, reaction, tell }) {
  const day = 1;
  await record(system, { events, perStream, day, waiting: false, tell });
  await passGate(system, { streams: events / perStream, day, upTo: perStream });
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
