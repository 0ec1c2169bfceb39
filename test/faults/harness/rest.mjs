// When is it over? At rest: nothing waits anywhere, and the checker misses nothing. Recovered: everything that had been
// recorded when the fault ended has had its effects, in every inbox.
import { setTimeout as sleep } from 'node:timers/promises';
import { check } from './checker.mjs';
import { ownerFor } from './expectations.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */
/** @typedef {{ reaction: string, events: number, position: string }} Owed a reaction, what it owes, and up to where */

const WAITING = `
select (select count(*) from messaging.outbox)::int as outbox,
       (select count(*) from messaging.parked_events where epoch is null or epoch <> all($1))::int as parked`;
const RECORDED = `
select type, count(*)::int as events, (select max(position) from messaging.events) as position
from messaging.events where id <> all($1) group by type`;
const APPLIED = `
select reaction, count(*)::int as effects from effects
where source = $1 and position <= $2 and event_id <> all($3) group by reaction`;

/**
 * Every reaction of a service, in whatever inbox, with the number of events that it must have by now.
 * @param {Trial} trial
 * @param {string} name of the service
 * @returns {Promise<Owed[]>}
 */
async function owed(trial, name) {
  const recorded = await trial.rows(ownerFor(name), RECORDED, [trial.except.uncounted]);
  /** @type {Map<string, number>} */
  const owing = new Map();
  for (const { type, events } of recorded) {
    for (const reaction of trial.expected(name)[type] ?? []) owing.set(reaction, (owing.get(reaction) ?? 0) + events);
  }
  return [...owing].map(([reaction, events]) => ({
    reaction,
    events: events - (trial.except.exempt.get(`${name} ${reaction}`)?.size ?? 0),
    position: recorded[0].position,
  }));
}

/**
 * The reactions that do not have everything yet.
 * @param {Trial} trial
 * @param {string} name of the service
 * @param {Owed[]} all
 * @returns {Promise<string[]>}
 */
async function behind(trial, name, all) {
  const owner = ownerFor(name);
  const values = [`/${owner}`, all[0]?.position ?? 0, trial.except.uncounted];
  const applied = new Map((await trial.rows(name, APPLIED, values)).map((row) => [row.reaction, row.effects]));
  return all
    .filter(({ reaction, events }) => (applied.get(reaction) ?? 0) < events)
    .map(({ reaction, events }) => {
      return `${name}: ${reaction} has had ${applied.get(reaction) ?? 0} of ${events} events of ${owner}`;
    });
}

/**
 * What is still under way, as far as counting tells.
 * @param {Trial} trial
 * @returns {Promise<string[]>}
 */
async function underWay(trial) {
  const reasons = [];
  for (const name of trial.names) {
    const [{ outbox, parked }] = await trial.rows(name, WAITING, [[...trial.except.brokenEpochs]]);
    if (outbox > 0) reasons.push(`${name}: ${outbox} in the outbox`);
    const stay = trial.except.parkedForGood[name] ?? 0;
    if (parked !== stay) reasons.push(`${name}: ${parked} parked${stay ? `, not ${stay}` : ''}`);
  }
  if (reasons.length > 0) return reasons; // counting costs the services more
  for (const name of trial.names) reasons.push(...(await behind(trial, name, await owed(trial, name))));
  return reasons;
}

/**
 * What the checker still misses. What happened twice or in the wrong order stays so and is not waited for; the books never
 * agree with it.
 * @param {import('./types.js').Verdict} verdict
 * @returns {string[]}
 */
function missing({ lost, duplicated, outOfOrder, problems }) {
  if (lost > 0) return [`${lost} are missing`];
  if (duplicated + outOfOrder > 0) return [];
  const pages = problems.filter((problem) => problem.startsWith('books: ')).length;
  return pages > 0 ? [`the books do not agree in ${pages} place(s)`] : [];
}

/**
 * Waits until nothing moves any more.
 * @param {Trial} trial
 * @param {number} seconds
 * @returns {Promise<string[]>} what was still under way in the end; empty: at rest
 */
export async function untilAtRest(trial, seconds) {
  const deadline = Date.now() + seconds * 1_000;
  for (;;) {
    /** @type {string[]} */
    let reasons;
    try {
      reasons = await underWay(trial);
      // It reads everything, so it is asked only when there is hope.
      if (reasons.length === 0) reasons = missing(await check(trial));
    } catch (error) {
      reasons = [String(error)];
    }
    if (reasons.length === 0 || Date.now() > deadline) return reasons;
    await sleep(200);
  }
}

/**
 * Measures the time until everything that is recorded now has had its effects everywhere.
 * @param {Trial} trial whose fault ends at this moment
 * @returns {Promise<{ seconds: number, last: string }>} `last`: what was missing at the last look but one
 */
export async function recovery(trial) {
  const began = Date.now();
  let last = '';
  const marks = await Promise.all(
    trial.names.map(async (name) => ({ name, all: await insist(trial, () => owed(trial, name)) })),
  );
  for (const { name, all } of marks) {
    await insist(trial, async () => {
      const missing = await behind(trial, name, all ?? []);
      last = missing[0] ?? last;
      return missing.length === 0;
    });
  }
  return { seconds: Math.round((Date.now() - began) / 100) / 10, last };
}

/**
 * Asks until there is an answer, which may take a while from a server that has just come back.
 * @template T
 * @param {Trial} trial
 * @param {() => Promise<T | false>} question
 * @returns {Promise<T | undefined>}
 */
async function insist(trial, question) {
  while (!trial.over) {
    const answer = await question().catch(() => false);
    if (answer !== false) return /** @type {T} */ (answer);
    await sleep(200);
  }
  return undefined;
}
