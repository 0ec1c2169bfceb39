// Rows that several writers share: a lost update shows as a sum that is too small.
import { bucketOf } from './expectations.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */
/** @typedef {import('./checker.mjs').Logged} Logged */

/**
 * @param {Trial} trial
 * @param {Logged[]} log of the producer
 * @param {Logged[]} receipts the log of the consumer
 * @returns {Promise<string[]>} what is wrong
 */
export async function checkSums(trial, log, receipts) {
  const problems = await checkAccounts(trial, log, receipts);
  for (const name of trial.names) if (name !== 'producer') problems.push(...(await checkTotals(trial, name, log)));
  return problems;
}

/** Written by commands and by reactions. @param {Trial} trial @param {Logged[]} log @param {Logged[]} receipts */
async function checkAccounts(trial, log, receipts) {
  const problems = [];
  const rows = new Map((await trial.rows('producer', 'select * from accounts')).map((row) => [row.id, row]));
  for (const id of new Set([...rows.keys(), ...log.map(({ subject }) => subject)])) {
    const { balance = 0, version = 0, receipts: noted = 0 } = rows.get(id) ?? {};
    const mine = log.filter(({ subject }) => subject === id);
    const sum = (/** @type {string} */ type) =>
      mine.reduce((total, event) => total + (event.type === type ? event.data.amount : 0), 0);
    const should = {
      balance: sum('producer.account.credited.v1') - sum('producer.account.debited.v1'),
      version: new Set(mine.map(({ data }) => data.commandId)).size,
      receipts: receipts.filter(({ subject }) => subject === id).length,
    };
    const is = { balance: Number(balance), version: Number(version), receipts: Number(noted) };
    if (JSON.stringify(is) !== JSON.stringify(should)) {
      problems.push(`sums: account ${id} is ${JSON.stringify(is)} and should be ${JSON.stringify(should)}`);
    }
  }
  return problems;
}

/** Written by reactions to many streams. @param {Trial} trial @param {string} name @param {Logged[]} log */
async function checkTotals(trial, name, log) {
  /** @type {Map<string, { amount: number, events: number }>} */
  const should = new Map();
  const effects = await trial.rows(name, `select event_id from effects where reaction = 'AddToTotal'`);
  const applied = new Set(effects.map((row) => row.event_id));
  const may = [
    ...trial.except.forgottenEvents,
    ...log.filter(({ id }) => trial.except.isExempt(name, 'AddToTotal', id)),
  ];
  const must = log.filter(({ id }) => !trial.except.isExempt(name, 'AddToTotal', id));
  for (const { type, data } of [...must, ...may.filter(({ id }) => applied.has(id))]) {
    const prefix = { 'producer.account.credited.v1': 'credit-', 'producer.account.debited.v1': 'debit-' }[type];
    if (!prefix) continue;
    const bucket = bucketOf(prefix, data.accountId);
    const total = should.get(bucket) ?? { amount: 0, events: 0 };
    should.set(bucket, { amount: total.amount + data.amount, events: total.events + 1 });
  }
  const problems = [];
  const rows = new Map((await trial.rows(name, 'select * from totals')).map((row) => [row.bucket, row]));
  for (const bucket of new Set([...rows.keys(), ...should.keys()])) {
    const { amount = 0, events = 0 } = rows.get(bucket) ?? {};
    const is = { amount: Number(amount), events: Number(events) };
    if (JSON.stringify(is) !== JSON.stringify(should.get(bucket))) {
      problems.push(
        `sums: ${name}'s total ${bucket} is ${JSON.stringify(is)} and should be ${JSON.stringify(should.get(bucket))}`,
      );
    }
  }
  return problems;
}
