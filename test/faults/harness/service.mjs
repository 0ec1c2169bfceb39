// A service as a process that somebody looks after: it is started again when it dies, until it is stopped.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectDir } from '../../../tools/infrastructure/outside.mjs';
import { Rank, startProcess } from '../../../tools/infrastructure/processes.mjs';
import { PROGRAM } from './build.mjs';

/** @typedef {import('../../../tools/infrastructure/processes.mjs').Running} Running */
/** @typedef {{ code: number | null, signal: NodeJS.Signals | null, seconds: number }} End */

const ENTRY = path.join(projectDir, PROGRAM);
const RESTART_AFTER_MS = 300;
/** More than SHUTDOWN_TIMEOUT_MS: a process that misses it has failed by itself. */
const GRACE_MS = 15_000;

export class Service {
  /** @type {End[]} how its lives have ended */
  ends = [];
  #lives = 0;
  #wanted = false;
  /** @type {Running | undefined} */
  #process;
  /** @type {Promise<void> | undefined} */
  #living;

  /**
   * @param {{ id: string, name: string, port: number, logFile: string, env: Record<string, string>,
   *   failpoints?: readonly string[], wrapper?: string[], patience: number }} options `failpoints`: one text for each of its first lives
   */
  constructor(options) {
    this.options = options;
  }

  get id() {
    return this.options.id;
  }

  /** The name of its service. */
  get name() {
    return this.options.name;
  }

  get url() {
    return `http://127.0.0.1:${this.options.port}`;
  }

  get pid() {
    return /** @type {Running} */ (this.#process).pid;
  }

  get isRunning() {
    return this.#process !== undefined && this.#process.exit === undefined;
  }

  /** Starts it, and again whenever it ends, until `stop` or `end`. @param {Record<string, string>} [extra] for this life only */
  async start(extra = {}) {
    await this.#living;
    this.#wanted = true;
    await this.#spawn(extra);
    this.#living = this.#live();
  }

  /** A signal to the process, which may be its end. @param {NodeJS.Signals} signal */
  signal(signal) {
    process.kill(this.pid, signal);
  }

  /** kill -9; it is started again soon. */
  async kill() {
    const { exited } = /** @type {Running} */ (this.#process);
    this.signal('SIGKILL');
    await exited;
  }

  /** Ends it for good. @param {NodeJS.Signals} [signal] @returns {Promise<End>} */
  async stop(signal = 'SIGTERM') {
    this.#wanted = false;
    if (!this.isRunning) {
      await this.#living;
      return { code: 0, signal: null, seconds: 0 };
    }
    const force = setTimeout(() => void this.#process?.kill9(), GRACE_MS);
    this.signal(signal);
    await this.#living;
    clearTimeout(force);
    return /** @type {End} */ (this.ends.at(-1));
  }

  /** Until it can work, connected to everything. @param {{ timeoutMs?: number, status?: string }} [options] */
  async ready({ timeoutMs = 30_000, status = 'ok' } = {}) {
    const deadline = Date.now() + timeoutMs * this.options.patience;
    for (let last = 'no answer'; ; await sleep(50)) {
      const answer = await this.health();
      if (answer?.status === status) return answer;
      if (answer) last = JSON.stringify(answer);
      if (Date.now() > deadline) throw new Error(`${this.id} is not ready after ${timeoutMs / 1000} s: ${last}`);
    }
  }

  /** What /health/ready says; undefined: no answer. @returns {Promise<any>} */
  async health() {
    return this.get('/health/ready').catch(() => undefined);
  }

  /** @param {string} where @returns {Promise<any>} */
  async get(where) {
    const response = await fetch(`${this.url}${where}`, { signal: AbortSignal.timeout(3_000) });
    const text = await response.text();
    return text.startsWith('{') ? JSON.parse(text) : text;
  }

  /** What all its lives have printed. */
  log() {
    return readFileSync(this.options.logFile, 'utf8');
  }

  /** How often something is in its log. @param {RegExp} pattern with the flag g */
  count(pattern) {
    return this.log().match(pattern)?.length ?? 0;
  }

  /** @param {Record<string, string>} extra */
  async #spawn(extra) {
    const { wrapper = [], logFile, env, failpoints = [] } = this.options;
    const FAILPOINTS = failpoints[this.#lives++];
    const [command = process.execPath, ...args] = [...wrapper, process.execPath, '--enable-source-maps', ENTRY];
    this.#process = await startProcess(command, args, {
      cwd: projectDir,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env, ...(FAILPOINTS && { FAILPOINTS }), ...extra },
      logFile,
      rank: Rank.service,
    });
  }

  async #live() {
    for (;;) {
      const started = Date.now();
      const { code, signal } = await /** @type {Running} */ (this.#process).exited;
      this.ends.push({ code, signal, seconds: (Date.now() - started) / 1000 });
      if (this.#wanted) await sleep(RESTART_AFTER_MS);
      if (!this.#wanted) return;
      try {
        await this.#spawn({});
      } catch {
        return; // the whole run is being stopped
      }
    }
  }
}
