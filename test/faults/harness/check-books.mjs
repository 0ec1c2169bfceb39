// Page by page: what the owner recorded is what the subscriber has applied or parked.
import { inboxesOf, ownerFor } from './expectations.mjs';

const RECORDED = `
select epoch, aggregate, page, count(*)::int as recorded from messaging.events where aggregate = any($1) group by 1, 2, 3`;
const SETTLED = 'select page, epoch, aggregate, recorded from messaging.pages where aggregate = any($1)';
const APPLIED = 'select epoch, aggregate, page, applied from messaging.inbox_pages where inbox = $1';
const FOLDED = 'select epoch, aggregate, balanced_page, folded from messaging.inbox_books where inbox = $1';
const PARKED = `
select epoch, aggregate, page, count(*)::int as parked from messaging.parked_events
where inbox = $1 and epoch is not null group by 1, 2, 3`;

/**
 * @param {import('./trial.mjs').Trial} trial
 * @param {string} name of the subscriber
 * @returns {Promise<string[]>} what does not balance
 */
export async function checkBooks(trial, name) {
  const owner = ownerFor(name);
  /** @type {string[]} */
  const problems = [];
  for (const [inbox, aggregates] of Object.entries({ ...inboxesOf(name), ...trial.except.moreInboxes[name] })) {
    const recorded = await trial.rows(owner, RECORDED, [aggregates]);
    const settled = await trial.rows(owner, SETTLED, [aggregates]);
    for (const page of settled) {
      const same = recorded.find((row) => keyOf(row) === keyOf(page));
      if (Number(page.recorded) !== (same?.recorded ?? 0)) {
        problems.push(
          `books: page ${keyOf(page)} of ${owner} says ${page.recorded} events and holds ${same?.recorded ?? 0}`,
        );
      }
    }
    problems.push(...(await compare(trial, name, inbox, recorded)));
  }
  return problems;
}

/** @param {{ epoch: string, aggregate: string, page: number | string }} row */
const keyOf = ({ epoch, aggregate, page }) => `${epoch} ${aggregate} ${page}`;

/** @param {import('./trial.mjs').Trial} trial @param {string} name @param {string} inbox @param {any[]} recorded */
async function compare(trial, name, inbox, recorded) {
  const problems = [];
  const [applied, folded, parked] = await Promise.all(
    [APPLIED, FOLDED, PARKED].map((sql) => trial.rows(name, sql, [inbox])),
  );
  const sum = (
    /** @type {any[] | undefined} */ rows,
    /** @type {string} */ field,
    /** @type {(row: any) => boolean} */ which,
  ) => (rows ?? []).filter(which).reduce((total, row) => total + Number(row[field]), 0);
  const logs = new Map(recorded.map((row) => [`${row.epoch} ${row.aggregate}`, row]));
  for (const { epoch, aggregate } of logs.values()) {
    if (trial.except.brokenEpochs.has(epoch)) continue; // its owner has forgotten what was applied
    const isSame = (/** @type {any} */ row) => row.epoch === epoch && row.aggregate === aggregate;
    const book = (folded ?? []).find(isSame);
    const upTo = Number(book?.balanced_page ?? 0);
    const early = (/** @type {any} */ row) => isSame(row) && Number(row.page) <= upTo;
    const should = sum(recorded, 'recorded', early);
    const has = Number(book?.folded ?? 0) + sum(applied, 'applied', early) + sum(parked, 'parked', early);
    if (should !== has)
      problems.push(`books: ${inbox} has ${has} of ${should} events of ${aggregate} up to page ${upTo}`);
    for (const row of recorded.filter((page) => isSame(page) && Number(page.page) > upTo)) {
      const here = (/** @type {any} */ other) => keyOf(other) === keyOf(row);
      const count = sum(applied, 'applied', here) + sum(parked, 'parked', here);
      if (count !== row.recorded)
        problems.push(`books: ${inbox} has ${count} of ${row.recorded} events of page ${keyOf(row)}`);
    }
  }
  return problems;
}
