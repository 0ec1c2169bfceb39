// Looks from outside, at rest: compares the histories of the client, the logs of the producers and the effects of the
// consumers. Trusts nobody's own account.
import { checkBooks } from './check-books.mjs';
import { checkSums } from './check-sums.mjs';
import { ownerFor } from './expectations.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */
/** @typedef {{ id: string, type: string, epoch: string, aggregate: string, subject: string, sequence: number, position: number, page: number, data: { commandId: string, index: number, accountId: string, amount: number } }} Logged */
/** @typedef {{ seq: number, reaction: string, event_id: string, type: string, epoch: string, aggregate: string, subject: string, sequence: number }} Effect */

/** Problems that are shown; the rest is counted. */
const SHOWN = 12;

/**
 * @param {Trial} trial
 * @returns {Promise<import('./types.js').Verdict>}
 */
export async function check(trial) {
  const findings = new Findings();
  /** @type {Record<string, Logged[]>} */
  const logs = {};
  for (const name of ['producer', 'consumer']) logs[name] = await readLog(trial, name);
  checkCommands(trial, logs.producer ?? [], findings);
  for (const name of ['producer', 'consumer']) checkSequences(logs[name] ?? [], findings);
  let effects = 0;
  for (const name of trial.names) {
    const rows = await readEffects(trial, name);
    effects += rows.length;
    const log = logs[ownerFor(name)] ?? [];
    checkEffects(trial, name, log, rows, findings);
    if (name === 'consumer') checkReceipts(trial, log, rows, logs.consumer ?? [], findings);
    findings.problems.push(...(await checkBooks(trial, name)));
  }
  findings.problems.push(...(await checkSums(trial, logs.producer ?? [], logs.consumer ?? [])));
  return { events: (logs.producer ?? []).length + (logs.consumer ?? []).length, effects, ...findings.verdict() };
}

class Findings {
  lost = 0;
  duplicated = 0;
  outOfOrder = 0;
  unexpected = 0;
  /** @type {string[]} */
  problems = [];

  /** @param {'lost' | 'duplicated' | 'outOfOrder' | 'unexpected'} kind @param {string} detail */
  add(kind, detail) {
    this[kind]++;
    if (this[kind] <= SHOWN) this.problems.push(`${kind}: ${detail}`);
  }

  verdict() {
    const { lost, duplicated, outOfOrder, unexpected, problems } = this;
    return { lost, duplicated, outOfOrder, unexpected, problems };
  }
}

/** @param {Trial} trial @param {string} name @returns {Promise<Logged[]>} */
async function readLog(trial, name) {
  if (!trial.databases.names.includes(name)) return [];
  const rows = await trial.rows(
    name,
    'select id, type, epoch, aggregate, subject, sequence, position, page, data from messaging.events order by position',
  );
  return rows.map((row) => ({
    ...row,
    sequence: Number(row.sequence),
    position: Number(row.position),
    page: Number(row.page),
  }));
}

/** @param {Trial} trial @param {string} name @returns {Promise<Effect[]>} */
async function readEffects(trial, name) {
  const rows = await trial.rows(
    name,
    'select seq, reaction, event_id, type, epoch, aggregate, subject, sequence from effects order by seq',
  );
  return rows.map((row) => ({ ...row, seq: Number(row.seq), sequence: Number(row.sequence) }));
}

/**
 * Every acknowledged command has left exactly its events; no other command has left any.
 * @param {Trial} trial @param {Logged[]} log @param {Findings} findings
 */
function checkCommands(trial, log, findings) {
  /** @type {Map<string, Logged[]>} */
  const recorded = new Map();
  for (const event of log) recorded.set(event.data.commandId, [...(recorded.get(event.data.commandId) ?? []), event]);
  for (const command of trial.load.plan) {
    const outcome = trial.load.outcomes.get(command.id);
    const events = recorded.get(command.id) ?? [];
    recorded.delete(command.id);
    const complete = command.events.every((planned, index) =>
      events.some(
        ({ type, data }) => isOfType(type, planned.name) && data.index === index && data.amount === planned.amount,
      ),
    );
    const about = `command ${command.id} (${outcome ?? 'not sent'}) has ${events.length} of ${command.events.length} events`;
    if (outcome === 'ok' && !trial.except.isForgotten(command.id) && !complete) findings.add('lost', about);
    else if (outcome === 'ok' && events.length > command.events.length) findings.add('duplicated', about);
    else if ((outcome === 'failed' || outcome === undefined) && events.length > 0) findings.add('unexpected', about);
    else if (outcome === 'unknown' && events.length > 0 && !complete) findings.add('unexpected', `${about}: torn`);
  }
  for (const [id, events] of recorded)
    findings.add('unexpected', `${events.length} event(s) of a command ${id} that nobody sent`);
}

/** @param {string} type @param {string} name with or without a version */
const isOfType = (type, name) => type === `producer.${name}` || type === `producer.${name}.v1`;

/** @param {Logged[]} log @param {Findings} findings */
function checkSequences(log, findings) {
  /** @type {Map<string, number>} */
  const last = new Map();
  for (const { epoch, aggregate, subject, sequence } of log) {
    const stream = `${epoch} ${aggregate}/${subject}`;
    if (sequence !== (last.get(stream) ?? 0) + 1)
      findings.add('outOfOrder', `${stream} has ${sequence} behind ${last.get(stream) ?? 0} in the log`);
    last.set(stream, sequence);
  }
}

/**
 * Every event has had each of its effects once, in the order of its stream, and nothing else has had any.
 * @param {Trial} trial @param {string} name @param {Logged[]} log @param {Effect[]} effects @param {Findings} findings
 */
function checkEffects(trial, name, log, effects, findings) {
  const expected = trial.expected(name);
  /** @type {Map<string, number>} */
  const found = new Map();
  /** @type {Map<string, { sequence: number, id: string }>} */
  const last = new Map();
  const recorded = new Map(log.map((event) => [event.id, event]));
  for (const effect of effects) {
    const { reaction, event_id: id, epoch, aggregate, subject, sequence } = effect;
    found.set(`${id} ${reaction}`, (found.get(`${id} ${reaction}`) ?? 0) + 1);
    const stream = `${reaction} ${epoch} ${aggregate}/${subject}`;
    const before = last.get(stream) ?? { sequence: 0, id: '' };
    // The same event once more is a duplicate, and counted as such below.
    if (sequence < before.sequence || (sequence === before.sequence && id !== before.id))
      findings.add('outOfOrder', `${name}: ${stream} ${sequence} was applied after ${before.sequence}`);
    if (sequence >= before.sequence) last.set(stream, { sequence, id });
    const said = recorded.get(id);
    if (said && placeOf(said) !== placeOf(effect))
      findings.add('unexpected', `${name}: ${id} was applied as ${placeOf(effect)}, but recorded as ${placeOf(said)}`);
  }
  for (const { id, type, aggregate, subject, sequence } of log) {
    for (const reaction of expected[type] ?? []) {
      const times = found.get(`${id} ${reaction}`) ?? 0;
      found.delete(`${id} ${reaction}`);
      const about = `${name}: ${reaction} ran ${times} × for ${aggregate}/${subject} ${sequence} (${id})`;
      if (times === 0 && !trial.except.isExempt(name, reaction, id)) findings.add('lost', about);
      if (times > 1) findings.add('duplicated', about);
      if (times > 0 && trial.except.skipped.has(id)) findings.add('unexpected', `${about}, which was skipped`);
    }
  }
  for (const [key, times] of found) {
    if (!trial.except.isAllowed(name, key))
      findings.add('unexpected', `${name}: an effect of ${key}, which nobody recorded`);
    else if (times > 1) findings.add('duplicated', `${name}: ${key} ran ${times} ×, of an event that was forgotten`);
  }
}

/** @param {Pick<Logged, 'epoch' | 'aggregate' | 'subject' | 'sequence'>} event */
const placeOf = ({ epoch, aggregate, subject, sequence }) => `${epoch} ${aggregate}/${subject} ${sequence}`;

/**
 * A reaction records an event of its own: wherever it had its effect there is one, and where it was rolled back there is none.
 * @param {Trial} trial @param {Logged[]} log of the producer @param {Effect[]} effects in the consumer @param {Logged[]} receipts its log
 * @param {Findings} findings
 */
function checkReceipts(trial, log, effects, receipts, findings) {
  const causes = new Map([...trial.except.forgottenEvents, ...log].map(({ id, data }) => [id, causeOf(data)]));
  /** @type {Map<string, number>} */
  const owed = new Map();
  for (const { reaction, event_id: id } of effects) {
    const cause = causes.get(id);
    if (reaction === 'IssueReceipt' && cause) owed.set(cause, (owed.get(cause) ?? 0) + 1);
  }
  for (const { data } of receipts) owed.set(causeOf(data), (owed.get(causeOf(data)) ?? 0) - 1);
  for (const [cause, missing] of owed) {
    if (missing > 0)
      findings.add('lost', `consumer: the receipt of ${cause} was not recorded, although its cause was applied`);
    if (missing < 0) findings.add('unexpected', `consumer: ${-missing} receipt(s) of ${cause} too many were recorded`);
  }
}

/** @param {{ commandId: string, index: number }} data */
const causeOf = ({ commandId, index }) => `${commandId}, event ${index}`;
