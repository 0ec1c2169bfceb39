// One stream is one writer and one order. How close that comes to one client that does nothing else, one statement after
// the other.
import { built } from '../harness/servers.mjs';
import { System } from '../harness/system.mjs';
import { drainOurs, warmUpByCommands } from './drain.mjs';

/** @typedef {import('../harness/measure.mjs').Context} Context */
/** @typedef {import('pg').Client} Client */

/** 64 commands at a time, all of one aggregate; relayed and applied meanwhile. @param {Context} context @param {{ seconds: number }} options */
export const hotCommands = (context, { seconds }) =>
  System.use(context, async (system) => {
    const taker = await system.start('taker', { BENCH_REACTION: 'one' });
    const maker = await system.start('maker');
    await warmUpByCommands(system, maker, taker, 64);
    await taker.reset();
    context.tell(`works for ${seconds} s`);
    const { done, seconds: took } = await maker.post('work', { seconds, concurrency: 64, hot: true });
    await system.applied(taker, done);
    const [{ last }] = await system.rows(
      'taker',
      'select max(last_sequence)::int as last from messaging.inbox_streams',
    );
    if (last !== done) throw new Error(`the stream is at ${last} after ${done} commands`);
    return { rate: done / took };
  });

/** One stream that waits, and ordinary reactions. @param {Context} context @param {{ events: number }} options */
export const hotDrain = (context, { events }) => drainOurs(context, { events, perStream: events, reaction: 'one' });

const ITEM = 'insert into items (item_id, version, bucket, amount, note) values ($1, $2, 0, 1, $3)';
const RECORD = `
with stream as (
  insert into messaging.streams as t (epoch, aggregate, subject, last_sequence) values ($1, 'maker.item', $2, 1)
  on conflict (epoch, aggregate, subject) do update set last_sequence = t.last_sequence + 1 returning last_sequence),
event as (
  insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
  select $3, 'maker.item.changed.v1', $1, 'maker.item', $2, last_sequence, 1, ($3::uuid)::text, $4 from stream returning position)
insert into messaging.outbox (position, bytes) select position, 2300 from event returning position`;
const DELETE = 'delete from messaging.outbox where position = $1';
const GATE = `
insert into messaging.inbox_streams as g (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
values ('taker', '/maker', $1, 'maker.item', $2, 1, $3)
on conflict (inbox, source, epoch, aggregate, subject)
do update set last_sequence = g.last_sequence + 1, last_event_id = excluded.last_event_id`;
const ENTRY = 'insert into entries (item_id, version, amount, note) values ($1, $2, 1, $3)';

/**
 * One client that awaits every statement: the rows of a command, of the relay and of a reaction, or of the reaction alone.
 * @param {Context} context
 * @param {{ seconds: number, reactionAlone: boolean }} options
 */
export const oneClient = ({ servers, tell }, { seconds, reactionAlone }) =>
  servers.withClients(1, async ([client]) => {
    const { newId } = await built('libs/database/src/index.js');
    tell(`works for ${seconds} s`);
    const write = await writer(/** @type {Client} */ (client), newId());
    const started = performance.now();
    let version = 0;
    while (performance.now() - started < seconds * 1_000) {
      version += 1;
      const id = newId();
      if (!reactionAlone) await write.command(version, id);
      await write.reaction(version, id);
    }
    return { rate: version / ((performance.now() - started) / 1_000) };
  });

/** @param {Client} client @param {string} item */
async function writer(client, item) {
  const { epoch } = (await client.query('select epoch from messaging.log')).rows[0];
  const note = 'x'.repeat(80);
  const ask = (/** @type {string} */ name, /** @type {string} */ text, /** @type {unknown[]} */ values) =>
    client.query({ name, text, values });
  return {
    command: async (/** @type {number} */ version, /** @type {string} */ id) => {
      await client.query('begin');
      await ask('item', ITEM, [item, version, note]);
      const data = JSON.stringify({ itemId: item, version, bucket: 0, amount: 1, note });
      const { rows } = await ask('record', RECORD, [epoch, item, id, data]);
      await client.query('commit');
      await ask('delete', DELETE, [rows[0].position]);
    },
    reaction: async (/** @type {number} */ version, /** @type {string} */ id) => {
      await client.query('begin');
      await ask('gate', GATE, [epoch, item, id]);
      await ask('entry', ENTRY, [item, version, note]);
      await client.query('commit');
    },
  };
}
