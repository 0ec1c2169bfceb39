// Sends the planned commands over HTTP and writes down what became of each. A command whose outcome is unknown is repeated
// with the same id, as a client does, until it is known.
import { appendFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {import('./types.js').PlannedCommand} PlannedCommand */
/** @typedef {import('./types.js').Outcome} Outcome */

const TIMEOUT_MS = 8_000;
const REPEAT_AFTER_MS = 1_000;

export class Load {
  /** @type {Map<string, Outcome>} what the last answer to each command said */
  outcomes = new Map();
  /** How often a command was repeated. */
  repeated = 0;
  /** Answers that left the outcome unknown, but for those of commands that hide an error and are meant to fail. */
  unknowns = 0;
  /** The longest time until an answer of any kind, since `mark`, in ms. */
  slowest = 0;
  /**
   * Answers since `mark`, by status; those without one by what was wrong. Not those to commands that are meant to fail.
   * @type {Map<string | number, number>}
   */
  answers = new Map();
  /** Repeated commands that turned out to have been done already. */
  found = 0;
  #next = 0;
  /** @type {PlannedCommand[]} */
  #unknown = [];
  #stopped = false;
  /** @type {Promise<void> | undefined} */
  #running;

  /**
   * @param {readonly PlannedCommand[]} plan
   * @param {{ url: () => string, historyFile: string, concurrency?: number } & Pick<import('./types.js').LoadOptions, 'seconds' | 'trickle'>} options
   */
  constructor(plan, { url, historyFile, seconds = 6, trickle = { share: 0, seconds: 0 }, concurrency = 16 }) {
    this.plan = plan;
    this.url = url;
    this.historyFile = historyFile;
    this.seconds = seconds;
    this.trickle = trickle;
    this.concurrency = concurrency;
    writeFileSync(historyFile, '');
  }

  start() {
    const started = Date.now();
    this.#running ??= Promise.all([
      ...Array.from({ length: this.concurrency }, () => this.#send(started)),
      this.#repeat(),
      this.#repeat(),
    ]).then(() => {});
    return this;
  }

  /** Resolves when every command has had an answer. */
  async done() {
    await this.#running;
  }

  /** Resolves when this share of the commands was sent. @param {number} share */
  async reached(share) {
    while (this.#next < this.plan.length * share && !this.#stopped) await sleep(20);
  }

  /** Sends nothing more; what is on its way is not waited for. */
  stop() {
    this.#stopped = true;
  }

  /** From now on, answers and their time are measured anew; those to requests that run already count as well. */
  mark() {
    this.slowest = 0;
    this.answers = new Map();
  }

  get progress() {
    return this.#next / this.plan.length;
  }

  /** @param {number} started */
  async #send(started) {
    while (!this.#stopped && this.#next < this.plan.length) {
      const n = this.#next++;
      const due = started + this.#dueAfter(n / this.plan.length) * 1_000;
      if (due > Date.now()) await sleep(due - Date.now());
      await this.#once(/** @type {PlannedCommand} */ (this.plan[n]));
    }
  }

  /** Seconds after the start when this share of the commands is to have been sent. @param {number} share */
  #dueAfter(share) {
    const before = 1 - this.trickle.share;
    if (share < before) return (share / before) * this.seconds;
    return this.seconds + ((share - before) / this.trickle.share) * this.trickle.seconds;
  }

  async #repeat() {
    const pending = () => this.outcomes.size < this.plan.length || [...this.outcomes.values()].includes('unknown');
    while (!this.#stopped && pending()) {
      const command = this.#unknown.shift();
      if (!command) {
        await sleep(100);
        continue;
      }
      this.repeated++;
      if ((await this.#once(command)) === 'unknown') await sleep(REPEAT_AFTER_MS);
    }
  }

  /** @param {PlannedCommand} command */
  async #once(command) {
    const started = Date.now();
    const answer = await this.#post(command);
    const ms = Date.now() - started;
    this.slowest = Math.max(this.slowest, ms);
    if (command.mode !== 'swallow') this.answers.set(answer.detail, (this.answers.get(answer.detail) ?? 0) + 1);
    if (answer.repeated) this.found++;
    appendFileSync(this.historyFile, `${JSON.stringify({ at: Date.now(), id: command.id, ms, ...answer })}\n`);
    // A later failure does not take back an earlier success.
    if (this.outcomes.get(command.id) !== 'ok') this.outcomes.set(command.id, answer.outcome);
    if (answer.outcome === 'unknown' && command.mode !== 'swallow') this.unknowns++;
    if (answer.outcome === 'unknown') setTimeout(() => this.#unknown.push(command), REPEAT_AFTER_MS).unref();
    return answer.outcome;
  }

  /** @param {PlannedCommand} command @returns {Promise<{ outcome: Outcome, detail: string | number, repeated?: boolean }>} */
  async #post(command) {
    try {
      const response = await fetch(new URL('/commands', this.url()), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(command),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const repeated = (await response.text()).includes('"repeated"');
      const { status } = response;
      return { outcome: status < 300 ? 'ok' : status < 500 ? 'failed' : 'unknown', detail: status, repeated };
    } catch (error) {
      const { message, cause } = /** @type {Error} */ (error);
      return { outcome: 'unknown', detail: String(/** @type {Error | undefined} */ (cause)?.message ?? message) };
    }
  }
}
