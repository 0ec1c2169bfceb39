import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { endCommands, readLines } from './commands.mjs';
import { tellGuardian } from './guard.mjs';
import { Failure, asFailure } from './failure.mjs';
import { readJson } from './outside.mjs';
import { commandLineOf, isAlive, signalProcess, waitForEnd } from './signals.mjs';

/** @typedef {{ code: number | null, signal: NodeJS.Signals | null }} Exit */

/** Lower ranks are stopped first: the services before the servers that they use. */
export const Rank = { service: 1, server: 2, support: 3 };

/**
 * @typedef {object} Running
 * @property {number} pid
 * @property {number} rank
 * @property {string} commandLine
 * @property {Promise<Exit>} exited
 * @property {Exit | undefined} exit
 * @property {() => string} log what it has written to its log file since it was started
 * @property {() => Promise<void>} stop asks it to end, and makes it end after the time of grace
 * @property {(message: object) => void} tell only with `takesMessage`
 * @property {Promise<void>} answered the first time, or ended
 * @property {() => Promise<void>} kill9
 */

/** @type {Set<Running>} what startProcess has started and has not ended */
const running = new Set();
let closing = false;

/** @type {string | undefined} */
let memory;

/**
 * Keeps a list of what is running in this file, for the next run, should this one and its guardian be killed.
 * @param {string} file
 */
export function rememberProcessesIn(file) {
  memory = file;
  process.once('exit', () => running.size === 0 && rmSync(file, { force: true }));
}

function remember() {
  if (!memory || !existsSync(path.dirname(memory))) return;
  const processes = [...running].map(({ pid, commandLine, rank }) => ({ pid, commandLine, rank }));
  try {
    writeFileSync(memory, JSON.stringify({ owner: process.pid, processes }));
  } catch {
    // The disk is full: no reason to end what runs. The guardian knows them as well.
  }
}

/** @type {(file: string) => { owner: number, processes: { pid: number, commandLine: string, rank: number }[] } | undefined} */
const recall = readJson;

/**
 * @param {string} file
 * @returns {number | undefined} the run that keeps this list, if it is still going on
 */
export function runBehind(file) {
  const owner = recall(file)?.owner;
  return owner && owner !== process.pid && isAlive(owner) && /node/.test(commandLineOf(owner)) ? owner : undefined;
}

/**
 * Ends what a run has left behind that could not end it.
 * @param {string} file
 * @param {(line: string) => void} log
 */
export async function endRemembered(file, log) {
  const processes = recall(file)?.processes ?? [];
  for (const { pid, commandLine } of processes.sort((a, b) => a.rank - b.rank)) {
    if (!commandLine || commandLineOf(pid) !== commandLine) continue; // the number may be another program's by now
    log(`ending what an earlier run left behind: ${commandLine.slice(0, 100)} (pid ${pid})`);
    signalProcess({ pid, group: false }, 'SIGTERM');
    if (!(await waitForEnd(pid, 10_000))) signalProcess({ pid, group: true }, 'SIGKILL');
  }
  rmSync(file, { force: true });
}

/**
 * Starts a process in a group of its own, so that Ctrl-C in the terminal reaches it only through us and in the right order,
 * and puts it under the guardian, so that it does not outlive us however we end.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, uid?: number, gid?: number, logFile?: string, onLine?: (line: string) => void,
 *   showErrors?: boolean, takesMessage?: boolean, stopSignal?: NodeJS.Signals, stopGroup?: boolean, graceMs?: () => number, rank?: number }} [options]
 *   output goes to `logFile` (appended), or line by line to `onLine`, or nowhere;
 *   with `showErrors` standard error goes where ours goes; with `takesMessage` it can be told something; `graceMs` is the time to end after `stopSignal`
 * @returns {Promise<Running>}
 */
export async function startProcess(command, args, options = {}) {
  if (closing) throw new Failure('stopping');
  const {
    logFile,
    onLine,
    stopSignal = 'SIGTERM',
    stopGroup = true,
    graceMs = () => 15_000,
    rank = Rank.server,
  } = options;
  const log = logFile ? openSync(logFile, 'a') : undefined;
  const logStart = logFile ? statSync(logFile).size : 0;
  const output = log ?? (onLine ? 'pipe' : 'ignore');
  const { env, cwd, uid, gid, showErrors, takesMessage } = options;
  /** @type {import('node:child_process').StdioOptions} */
  const stdio = [
    'ignore',
    output,
    showErrors ? 'inherit' : output,
    ...(takesMessage ? /** @type {const} */ (['ipc']) : []),
  ];
  const child = spawn(command, args, {
    env,
    cwd,
    uid,
    gid,
    detached: true,
    stdio,
  });
  if (log) closeSync(log);
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', (e) => reject(asFailure(e))));
  const pid = /** @type {number} */ (child.pid);
  if (onLine) for (const stream of [child.stdout, child.stderr]) readLines(/** @type {any} */ (stream), onLine);
  /** @type {import('./guardian.mjs').Ward} */
  const ward = { pid, group: stopGroup, signal: stopSignal, rank, graceMs: 15_000 };
  tellGuardian({ watch: ward });

  /** @type {Exit | undefined} */
  let exit;
  /** @type {Promise<Exit>} */
  const exited = new Promise((resolve) => {
    // 'close' comes after the last line of output, but only once every descendant has closed the pipe
    child.once('exit', (code, signal) => {
      exit = { code, signal };
      tellGuardian({ forget: pid });
      if (!onLine) return resolve(exit);
      const patience = setTimeout(resolve, 500, exit);
      child.once('close', () => (clearTimeout(patience), resolve(/** @type {Exit} */ (exit))));
    });
  });

  /** @type {Promise<void> | undefined} */
  let ending; // a second signal means "at once" to many programs
  const stop = async () => {
    if (!exit) signalProcess(ward, stopSignal);
    const force = setTimeout(() => signalProcess({ pid, group: true }, 'SIGKILL'), graceMs());
    await exited;
    clearTimeout(force);
  };
  /** @type {Running} */
  const self = {
    pid,
    rank,
    commandLine: commandLineOf(pid),
    exited,
    get exit() {
      return exit;
    },
    log: () => (logFile ? readFileSync(logFile, 'utf8').slice(logStart) : ''),
    stop: () => (ending ??= stop()),
    answered: Promise.race([
      exited.then(() => {}),
      new Promise((resolve) => child.once('message', () => resolve(undefined))),
    ]),
    tell: (message) => void (child.connected && child.send(message)),
    async kill9() {
      if (!exit) signalProcess({ pid, group: true }, 'SIGKILL');
      await exited;
    },
  };
  running.add(self);
  remember();
  void exited.then(() => {
    running.delete(self);
    remember();
  });
  return self;
}

/** Ends everything that was started here, in order of rank, and lets nothing new begin. */
export async function endEverything() {
  closing = true;
  const commands = endCommands();
  for (const rank of Object.values(Rank)) {
    await Promise.all([...running].filter((child) => child.rank === rank).map(({ stop }) => stop()));
  }
  await commands;
}

/** The same at once, by force. */
export async function killEverything() {
  closing = true;
  const commands = endCommands();
  await Promise.all([...running].map(({ kill9 }) => kill9()));
  await commands;
}
