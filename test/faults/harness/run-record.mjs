// What a run has found so far. It is on disk after every scenario, so that a run that was interrupted, or failed in a few
// scenarios, need not begin again; what had failed before stays on record.
import { spawnSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Failure } from '../../../tools/infrastructure/failure.mjs';
import { projectDir } from '../../../tools/infrastructure/outside.mjs';

/** @typedef {import('./types.js').Result} Result */
/** @typedef {import('./types.js').Scenario} Scenario */
/** @typedef {{ seed: string, events: number, patience: number, atOnce: number }} Settings */

/**
 * @typedef {object} Stored the file
 * @property {Settings} settings
 * @property {Record<string, string>} versions
 * @property {{ began: string, seconds: number, scenarios: number, code?: string }[]} runs of which it is the record
 * @property {Result[]} results the last one of each scenario
 * @property {{ scenario: string, problem: string }[]} repeated what had failed before it was run again
 * @property {{ scenario: string, reason: string }[]} leftOut
 */

/** Of the code that is run; without git, or outside of a clone, nobody knows. */
function commitNow() {
  const git = (/** @type {string[]} */ ...args) => spawnSync('git', args, { cwd: projectDir, encoding: 'utf8' });
  const { status, stdout } = git('rev-parse', '--short', 'HEAD');
  if (status !== 0) return undefined;
  // The report is written by the run before.
  const isChanged = git('status', '--porcelain', '--', '.', ':!docs/RELIABILITY.md').stdout.trim() !== '';
  return `commit ${stdout.trim()}${isChanged ? ' with changes' : ''}`;
}

export class RunRecord {
  #began = Date.now();
  #run = { began: new Date().toISOString().slice(0, 10), seconds: 0, scenarios: 0, code: commitNow() };
  #file;

  /** @param {Stored} stored @param {string | undefined} file */
  constructor(stored, file) {
    this.stored = { ...stored, runs: [...stored.runs, this.#run] };
    this.#file = file;
  }

  /** @param {Settings} settings @param {string | undefined} file */
  static begin({ seed, events, patience, atOnce }, file) {
    const settings = { seed, events, patience, atOnce };
    return new RunRecord({ settings, versions: {}, runs: [], results: [], repeated: [], leftOut: [] }, file);
  }

  /** @param {string} file of an earlier run */
  static resume(file) {
    /** @type {Stored} */
    let stored;
    try {
      stored = JSON.parse(readFileSync(file, 'utf8'));
    } catch (error) {
      throw new Failure(
        `--resume: ${/** @type {Error} */ (error).message}`,
        'Give the file that --results has written.',
      );
    }
    if (!Array.isArray(stored.results) || !stored.settings?.seed) {
      throw new Failure(`--resume: ${file} is no record of a run.`, 'Give the file that --results has written.');
    }
    const record = new RunRecord(stored, file);
    for (const { scenario, ok, problems, lost, duplicated, outOfOrder, unexpected } of stored.results) {
      if (ok) continue;
      const counts = Object.entries({ lost, duplicated, 'out of order': outOfOrder, unexpected });
      const found = counts.filter(([, count]) => count > 0).map(([what, count]) => `${what} ${count}`);
      const problem = [...found, problems[0]?.split('\n')[0] ?? 'it failed'].join(', ');
      record.stored.repeated.push({ scenario, problem });
    }
    record.stored.results = stored.results.filter(({ ok }) => ok);
    return record;
  }

  get settings() {
    return this.stored.settings;
  }

  get results() {
    return this.stored.results;
  }

  /** @param {readonly Scenario[]} selection @returns {Scenario[]} those that have no result yet */
  open(selection) {
    const done = new Set(this.results.map(({ scenario }) => scenario));
    return selection.filter(({ name }) => !done.has(name));
  }

  /** @param {Result} result @param {Record<string, string>} versions */
  add(result, versions) {
    this.results.push(result);
    this.stored.versions = versions;
    this.#run.scenarios += 1;
    this.save();
  }

  save() {
    this.#run.seconds = Math.round((Date.now() - this.#began) / 1_000);
    if (!this.#file) return;
    // A kill in the middle must not destroy what is there.
    writeFileSync(`${this.#file}.new`, `${JSON.stringify(this.stored, null, 2)}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}
