// A service of the benchmark as a process.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectDir } from '../../tools/infrastructure/outside.mjs';
import { freePort } from '../../tools/infrastructure/ports.mjs';
import { Rank, startProcess } from '../../tools/infrastructure/processes.mjs';
import { PROGRAM } from './build.mjs';
import { runDir } from './servers.mjs';

const ENTRY = path.join(projectDir, PROGRAM);
const READY_MS = 120_000;

/** @typedef {{ applied: number, first: number, firstAt: number, lastAt: number, rss: number }} Progress */

export class Service {
  /**
   * @param {string} name
   * @param {string} url
   * @param {string} logFile
   * @param {import('../../tools/infrastructure/processes.mjs').Running} running
   */
  constructor(name, url, logFile, running) {
    this.name = name;
    this.url = url;
    this.logFile = logFile;
    this.running = running;
  }

  /**
   * Starts it and waits until it works.
   * @param {string} name
   * @param {Record<string, string>} env
   * @param {{ entry?: string, node?: string }} [how]
   */
  static async start(name, env, { entry = ENTRY, node = process.execPath } = {}) {
    const port = await freePort();
    const logFile = path.join(runDir, `${name}-${port}.log`);
    const variable = `${name.toUpperCase().replaceAll('-', '_')}_PORT`;
    const running = await startProcess(node, [...(process.env.BENCH_NODE_ARGS?.split(' ') ?? []), entry], {
      cwd: projectDir,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        BENCH_SERVICE: name,
        BENCH_PORT: String(port),
        [variable]: String(port),
        LOG_LEVEL: 'warn',
        LOG_FORMAT: 'json',
        ...env,
      },
      logFile,
      rank: Rank.service,
    });
    const service = new Service(name, `http://127.0.0.1:${port}`, logFile, running);
    try {
      await service.#ready();
    } catch (error) {
      await running.stop(); // or it would take part in whatever is measured next
      throw error;
    }
    return service;
  }

  get pid() {
    return this.running.pid;
  }

  /** @param {string} where @returns {Promise<any>} */
  async get(where) {
    const response = await fetch(`${this.url}/${where}`);
    if (!response.ok) throw new Error(`${this.name} GET /${where}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** @param {string} where @param {unknown} body @returns {Promise<any>} */
  async post(where, body) {
    const response = await fetch(`${this.url}/${where}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${this.name} POST /${where}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** @returns {Promise<Progress>} */
  progress() {
    return this.get('progress');
  }

  /** Forgets what was applied so far. */
  async reset(keepTimes = false) {
    await this.post('progress/reset', { keepTimes });
  }

  stop() {
    return this.running.stop();
  }

  log() {
    return readFileSync(this.logFile, 'utf8');
  }

  async #ready() {
    for (const deadline = Date.now() + READY_MS; ; await sleep(50)) {
      if (this.running.exit) throw new Error(`${this.name} ended at its start: ${this.log().slice(-2_000)}`);
      const where = /^(stock|golevelup)/.test(this.name) ? 'progress' : 'health/ready';
      const answer = await this.get(where).catch(() => undefined);
      if (answer && (answer.status === undefined || answer.status === 'ok')) return;
      if (Date.now() > deadline) throw new Error(`${this.name} is not ready: ${JSON.stringify(answer)}`);
    }
  }
}
