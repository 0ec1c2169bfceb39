// When is it over? At rest: nothing waits anywhere and every event has been heard. Recovered: everything that had been
// recorded when the fault ended has been applied.
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('./trial.mjs').Trial} Trial */

const WAITING = `
select (select count(*) from messaging.outbox)::int as outbox,
       (select count(*) from messaging.parked_events where epoch is null or epoch <> all($2))::int as parked,
       (select coalesce(max(position), 0) from messaging.events)::int as position,
       (select count(*) from messaging.events where type <> all($1) and id <> all($3))::int as events`;
/** The reaction that every event of the other side has. */
const MAIN = { producer: 'NoteReceipt', other: 'Record' };

/** @param {string} name */
const mainReaction = (name) => (name === 'producer' ? MAIN.producer : MAIN.other);

/**
 * What is still under way.
 * @param {Trial} trial
 * @returns {Promise<string[]>}
 */
export async function notAtRest(trial) {
  const reasons = [];
  /** @type {Record<string, number>} */
  const events = {};
  for (const name of trial.names) {
    const [{ outbox, parked, events: recorded }] = await trial.rows(name, WAITING, [
      trial.except.unheard,
      [...trial.except.brokenEpochs],
      [...trial.except.contradictory],
    ]);
    events[name] = recorded;
    if (outbox > 0) reasons.push(`${name}: ${outbox} in the outbox`);
    const stay = trial.except.parkedForGood[name] ?? 0;
    if (parked !== stay) reasons.push(`${name}: ${parked} parked${stay ? `, not ${stay}` : ''}`);
  }
  for (const name of trial.names) {
    const owner = name === 'producer' ? 'consumer' : 'producer';
    const heard = await trial.count(name, 'select count(*) from effects where reaction = $1', [mainReaction(name)]);
    const should = (events[owner] ?? 0) - trial.except.skipped.size - trial.except.missing;
    if (heard < should) reasons.push(`${name}: ${heard} of ${should} events of ${owner} heard`);
  }
  return reasons;
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
      reasons = await notAtRest(trial);
    } catch (error) {
      reasons = [String(error)];
    }
    if (reasons.length === 0 || Date.now() > deadline) return reasons;
    await sleep(150);
  }
}

/**
 * Measures the time from the end of the fault until everything recorded before is applied.
 * @param {Trial} trial whose fault has ended
 * @returns {Promise<number>} seconds
 */
export async function recovery(trial) {
  const healedAt = /** @type {number} */ (trial.healedAt);
  const marks = await Promise.all(
    trial.names.map(async (name) => {
      const owner = name === 'producer' ? 'consumer' : 'producer';
      const [{ position, events }] = await trial.rows(owner, WAITING, [
        trial.except.unheard,
        [...trial.except.brokenEpochs],
        [...trial.except.contradictory],
      ]);
      return { name, owner, position, events };
    }),
  );
  for (const { name, owner, position, events } of marks) {
    const should = events - trial.except.skipped.size - trial.except.missing;
    const sql = 'select count(*) from effects where reaction = $1 and source = $2 and position <= $3';
    for (;;) {
      const heard = await trial.count(name, sql, [mainReaction(name), `/${owner}`, position]).catch(() => -1);
      if (heard >= should || trial.over) break;
      await sleep(200);
    }
  }
  return (Date.now() - healedAt) / 1_000;
}
