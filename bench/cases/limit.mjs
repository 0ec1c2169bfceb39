// The limit: Postgres alone, writing the rows that a drained event makes – event log, outbox and its delete, gate,
// projection – in multi-row statements over two connections, as the relay's side and the inbox's side.
import { built } from '../harness/servers.mjs';

/** @typedef {import('../harness/servers.mjs').Servers} Servers */
/** @typedef {import('pg').Client} Client */

const BATCH = 500;

const LOG = `
with event as (
  insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
  select u.id, 'maker.item.changed.v1', $1, 'maker.item', u.subject, 1, 1, u.id::text, u.data
  from unnest($2::uuid[], $3::text[], $4::json[]) u (id, subject, data) returning position)
insert into messaging.outbox (position, bytes) select position, 2300 from event returning position`;
const DELETE = 'delete from messaging.outbox where position = any($1::bigint[])';
const GATE = `
insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
select 'taker', '/maker', $1, 'maker.item', u.subject, 1, u.id from unnest($2::text[], $3::uuid[]) u (subject, id)`;
const PROJECT = `
insert into entries (item_id, version, amount, note)
select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[])`;

/** Rows of all tables per event count as one. @param {Servers} servers @param {number} events */
export const limitOfPostgres = (servers, events) =>
  servers.withClients(2, async (clients) => {
    const [told, heard] = /** @type {[Client, Client]} */ (clients);
    const epoch = (await told.query('select epoch from messaging.log')).rows[0].epoch;
    const rounds = Math.ceil(events / BATCH);
    const { newId } = await built('libs/database/src/index.js');
    const started = performance.now();
    await Promise.all([tell(told, epoch, rounds, newId), hear(heard, epoch, rounds, newId)]);
    return { rate: (rounds * BATCH) / ((performance.now() - started) / 1_000) };
  });

/** @param {Client} client @param {string} epoch @param {number} rounds @param {() => string} newId */
async function tell(client, epoch, rounds, newId) {
  for (let round = 0; round < rounds; round++) {
    const ids = Array.from({ length: BATCH }, () => newId());
    const data = ids.map((itemId) => JSON.stringify({ itemId, version: 1, bucket: 0, amount: 1, note: NOTE }));
    const { rows } = await client.query(LOG, [epoch, ids, ids, data]);
    await client.query(DELETE, [rows.map(({ position }) => position)]);
  }
}

/** @param {Client} client @param {string} epoch @param {number} rounds @param {() => string} newId */
async function hear(client, epoch, rounds, newId) {
  const ones = Array.from({ length: BATCH }, () => 1);
  const notes = Array.from({ length: BATCH }, () => NOTE);
  for (let round = 0; round < rounds; round++) {
    const ids = Array.from({ length: BATCH }, () => newId());
    await client.query('begin');
    await client.query(GATE, [epoch, ids, ids]);
    await client.query(PROJECT, [ids, ones, ones, notes]);
    await client.query('commit');
  }
}

const NOTE = 'x'.repeat(80);
