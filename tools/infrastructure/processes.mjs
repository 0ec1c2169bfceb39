import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure, asFailure } from './failure.mjs';
import { commandLineOf, signalProcess, waitForEnd } from './signals.mjs';

/** @typedef {import('./guardian.mjs').Ward} Ward */
/** @typedef {{ code: number | null, signal: NodeJS.Signals | null }} Exit */

/** Lower ranks are stopped first: the services before the servers that they use. */
export const Rank = { service: 1, server: 2, support: 3 };

/** @typedef {Awaited<ReturnType<typeof startProcess>>} Running */

/** @type {Set<Running>} what startProcess has started and has not ended */
const running = new Set();
/** @type {Set<{ end: Promise<unknown>, kill: () => void }>} what run() has started and has not ended */
const commands = new Set();
let closing = false;

/** @type {string | undefined} */
let memory;

/**
 * Keeps a list of what is running in this file, for the next run, should this one and its guardian be killed.
 * @param {string} file
 */
export function rememberProcessesIn(file) {
  memory = file;
}

function remember() {
  if (!memory || !existsSync(path.dirname(memory))) return;
  writeFileSync(memory, JSON.stringify([...running].map(({ pid, commandLine, rank }) => ({ pid, commandLine, rank }))));
}

/**
 * Ends what a run has left behind that could not end it.
 * @param {string} file
 * @param {(line: string) => void} log
 */
export async function endRemembered(file, log) {
  if (!existsSync(file)) return;
  /** @type {{ pid: number, commandLine: string, rank: number }[]} */
  const left = JSON.parse(readFileSync(file, 'utf8') || '[]');
  for (const { pid, commandLine } of left.sort((a, b) => a.rank - b.rank)) {
    if (!commandLine || commandLineOf(pid) !== commandLine) continue; // the number may be another program's by now
    log(`ending what an earlier run left behind: ${commandLine.slice(0, 100)} (pid ${pid})`);
    signalProcess({ pid, group: false }, 'SIGTERM');
    if (!(await waitForEnd(pid, 10_000))) signalProcess({ pid, group: true }, 'SIGKILL');
  }
  rmSync(file, { force: true });
}

/** @type {import('node:child_process').ChildProcess | undefined} */
let guardian;

/** @param {{ watch: Ward } | { forget: number }} message */
function tellGuardian(message) {
  if (!guardian || guardian.exitCode !== null) {
    const script = path.join(import.meta.dirname, 'guardian.mjs');
    guardian = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    guardian.stdin?.on('error', () => {});
    guardian.unref();
    /** @type {import('node:net').Socket | null} */ (guardian.stdin)?.unref();
  }
  guardian.stdin?.write(`${JSON.stringify(message)}\n`);
}

/**
 * Starts a process in a group of its own, so that Ctrl-C in the terminal reaches it only through us and in the right order,
 * and puts it under the guardian, so that it does not outlive us however we end.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, uid?: number, gid?: number, logFile?: string, onLine?: (line: string) => void,
 *   stopSignal?: NodeJS.Signals, stopGroup?: boolean, graceMs?: number, rank?: number }} [options]
 *   output goes to `logFile` (appended), or line by line to `onLine`, or nowhere
 */
export async function startProcess(command, args, options = {}) {
  if (closing) throw new Failure('stopping');
  const { logFile, onLine, stopSignal = 'SIGTERM', stopGroup = true, graceMs = 15_000, rank = Rank.server } = options;
  const log = logFile ? openSync(logFile, 'a') : undefined;
  const logStart = logFile ? statSync(logFile).size : 0;
  const output = log ?? (onLine ? 'pipe' : 'ignore');
  const { env, cwd, uid, gid } = options;
  const child = spawn(command, args, { env, cwd, uid, gid, detached: true, stdio: ['ignore', output, output] });
  if (log) closeSync(log);
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', (e) => reject(asFailure(e))));
  const pid = /** @type {number} */ (child.pid);
  if (onLine) for (const stream of [child.stdout, child.stderr]) readLines(/** @type {any} */ (stream), onLine);
  /** @type {Ward} */
  const ward = { pid, group: stopGroup, signal: stopSignal, rank, graceMs };
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

  const self = {
    pid,
    rank,
    commandLine: commandLineOf(pid),
    exited,
    get exit() {
      return exit;
    },
    /** What the process has written to its log file since it was started. */
    log: () => (logFile ? readFileSync(logFile, 'utf8').slice(logStart) : ''),
    /** Asks the process to end, and makes it end after the time of grace. */
    async stop() {
      if (!exit) signalProcess(ward, stopSignal);
      const force = setTimeout(() => signalProcess({ pid, group: true }, 'SIGKILL'), graceMs);
      await exited;
      clearTimeout(force);
    },
    async kill9() {
      signalProcess({ pid, group: true }, 'SIGKILL');
      await exited;
    },
    /** @param {NodeJS.Signals} signal */
    signal: (signal) => signalProcess(ward, signal),
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
  for (const { kill } of commands) kill();
  for (const rank of Object.values(Rank)) {
    await Promise.all([...running].filter((child) => child.rank === rank).map(({ stop }) => stop()));
  }
  await Promise.all([...commands].map(({ end }) => end));
}

/** The same at once, by force. */
export async function killEverything() {
  closing = true;
  for (const { kill } of commands) kill();
  await Promise.all([...running].map(({ kill9 }) => kill9()));
}

/**
 * @param {import('node:stream').Readable} stream
 * @param {(line: string) => void} onLine
 */
function readLines(stream, onLine) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (/** @type {string} */ text) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = /** @type {string} */ (lines.pop());
    lines.forEach(onLine);
  });
  stream.on('end', () => rest && onLine(rest));
}

/**
 * Runs a command to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, uid?: number, gid?: number, timeoutMs?: number, onLine?: (line: string) => void,
 *   mustFinish?: boolean }} [options] `mustFinish`: neither Ctrl-C nor endEverything interrupts it
 * @returns {Promise<{ stdout: string, stderr: string, code: number }>} code 127 if it cannot be started, 124 if it took too long
 */
export function run(command, args, { timeoutMs, onLine, mustFinish = false, ...options } = {}) {
  const child = spawn(command, args, { ...options, detached: mustFinish, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  let late = false;
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  if (onLine) for (const stream of [child.stdout, child.stderr]) readLines(stream, onLine);
  const timer = timeoutMs && setTimeout(() => ((late = true), child.kill('SIGKILL')), timeoutMs);
  /** @type {Promise<{ stdout: string, stderr: string, code: number }>} */
  const end = new Promise((resolve) => {
    child.once('error', (error) => resolve({ stdout, stderr: error.message, code: 127 }));
    child.once('close', (code) => resolve({ stdout, stderr, code: late ? 124 : (code ?? 1) }));
  });
  const entry = { end, kill: () => void (mustFinish || child.kill()) };
  commands.add(entry);
  void end.then(() => (clearTimeout(timer), commands.delete(entry)));
  return end;
}
