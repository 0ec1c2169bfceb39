// Events as `outbox.add` records them, many at a time; and the pause that keeps the relay from them until all are there.
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('./system.mjs').System} System */

const CHUNK = 50_000;

/** A valid UUID made of a text. @param {string} text */
const uuidOf = (text) => `overlay(overlay(md5(${text}) placing '4' from 13) placing '8' from 17)::uuid`;

const RECORD = `
with item as (
  select ${uuidOf('$4 || (n % $2)::text')} as id, n / $2 + 1 as version, n % $3 as bucket
  from generate_series($5::bigint, $6::bigint) n),
event as (
  insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
  select uuidv7(), 'maker.item.changed.v1', epoch, 'maker.item', id::text, version, (select last_value from messaging.page),
         uuidv7()::text, json_build_object('itemId', id, 'version', version, 'bucket', bucket, 'amount', 1, 'note', $1::text)
  from item, messaging.log order by version
  returning position, octet_length(data::text) as bytes)
insert into messaging.outbox (position, bytes) select position, bytes + 2048 from event`;

const STREAMS = `
insert into messaging.streams (epoch, aggregate, subject, last_sequence)
select epoch, 'maker.item', ${uuidOf('$1 || n')}::text, $3 from generate_series(0, $2::bigint - 1) n, messaging.log`;

/**
 * Records a backlog. Streams take turns, so that a batch has as many streams as it can.
 * @param {System} system
 * @param {{ events: number, perStream?: number, buckets?: number, salt?: string, tell?: (share: number) => void }} options
 */
export async function record(system, { events, perStream = 1, buckets = 1, salt = 's', tell = () => {} }) {
  const streams = events / perStream;
  await system.rows('maker', STREAMS, [salt, streams, perStream]);
  for (let from = 0; from < events; from += CHUNK) {
    const to = Math.min(events, from + CHUNK) - 1;
    await system.rows('maker', RECORD, ['x'.repeat(80), streams, buckets, salt, from, to]);
    tell(to / events);
  }
  await system.rows('maker', 'analyze messaging.events, messaging.outbox, messaging.streams');
  await system.rows('maker', 'checkpoint');
}

/** The relay publishes nothing until {@link release}. @param {System} system */
export async function hold(system) {
  await system.rows('maker', `insert into messaging.pauses (scope, reason, by) values ('relay', 'benchmark', 'bench')`);
  await sleep(1_500); // it looks every second
}

/** @param {System} system */
export const release = (system) => system.rows('maker', `delete from messaging.pauses where scope = 'relay'`);
