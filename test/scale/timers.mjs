// Timers with nothing else pending, and with a million others.
import { setTimeout as sleep } from 'node:timers/promises';
import { setTimers } from './fill.mjs';
import { expect } from './main.mjs';
import { forget, statementsOf, table, those } from './statements.mjs';

/** @typedef {import('./system.mjs').System} System */

const BURST = 5_000;
const SINGLES = 20;

/** @param {System} system @param {number} pending */
export async function measureTimers(system, pending) {
  const query = (/** @type {string} */ sql) => system.rows('users', sql);
  await fire(system); // everything is warm now
  const alone = await fire(system);
  await setTimers(query, pending, `interval '1 day' + n * interval '1 second'`);
  await query('analyze messaging.timers');
  await forget(system);
  const among = await fire(system);
  console.log(
    `\nwith ${pending} timers pending:\n${table(those(await statementsOf(system, 'users'), /messaging\.timers/))}`,
  );
  const words = (/** @type {{ perSecond: number, lateMs: number }} */ { perSecond, lateMs }) =>
    `${Math.round(perSecond)}/s, single ones ${Math.round(lateMs)} ms late`;
  console.log(`with none pending: ${words(alone)}\nwith ${pending} pending: ${words(among)}`);
  expect(among.perSecond > alone.perSecond / 2, `a burst of timers fires as fast with ${pending} others pending`);
  expect(among.lateMs < alone.lateMs + 250, `a single timer is not later with ${pending} others pending`);
}

/** How fast a burst fires, and how late single timers are. @param {System} system */
async function fire(system) {
  const query = (/** @type {string} */ sql) => system.rows('users', sql);
  await setTimers(query, BURST, `interval '0'`);
  const started = performance.now();
  await untilFired(query);
  const perSecond = (BURST / (performance.now() - started)) * 1000;
  await setTimers(query, SINGLES, `n * interval '0.3 s'`);
  await untilFired(query);
  const [{ late }] = await query(`
    select percentile_cont(0.5) within group (order by extract(epoch from recorded_at - (data ->> 'reason')::timestamptz)) as late
    from (select recorded_at, data from messaging.events order by position desc limit ${SINGLES}) e`);
  return { perSecond, lateMs: Number(late) * 1000 };
}

/** @param {(sql: string) => Promise<any[]>} query */
async function untilFired(query) {
  const soon = `select from messaging.timers where due_at <= now() + interval '1 min' limit 1`;
  for (const giveUpAt = performance.now() + 120_000; (await query(soon)).length > 0; await sleep(20)) {
    if (performance.now() > giveUpAt) throw new Error('timers do not fire');
  }
}
