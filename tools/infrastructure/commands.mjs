import { spawn } from 'node:child_process';
import { tellGuardian } from './guard.mjs';
import { signalProcess } from './signals.mjs';

/** @type {Set<{ end: Promise<unknown>, interrupt: () => void }>} what is running */
const commands = new Set();

/**
 * @param {import('node:stream').Readable} stream
 * @param {(line: string) => void} onLine
 */
export function readLines(stream, onLine) {
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
  const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const { pid = 0 } = child; // none if it could not be started
  const kill = (/** @type {NodeJS.Signals} */ signal) => pid && signalProcess({ pid, group: true }, signal);
  let stdout = '';
  let stderr = '';
  let isLate = false;
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  if (onLine) for (const stream of [child.stdout, child.stderr]) readLines(stream, onLine);
  const timer = timeoutMs && setTimeout(() => ((isLate = true), kill('SIGKILL')), timeoutMs);
  /** @type {Promise<{ stdout: string, stderr: string, code: number }>} */
  const end = new Promise((resolve) => {
    child.once('error', (error) => resolve({ stdout, stderr: error.message, code: 127 }));
    child.once('close', (code) => resolve({ stdout, stderr, code: isLate ? 124 : (code ?? 1) }));
  });
  const entry = { end, interrupt: () => void (mustFinish || kill('SIGTERM')) };
  commands.add(entry);
  const isGuarded = pid > 0 && !mustFinish;
  if (isGuarded) tellGuardian({ watch: { pid, group: true, signal: 'SIGTERM', rank: 1, graceMs: 5000 } });
  void end.then(() => {
    clearTimeout(timer);
    commands.delete(entry);
    if (isGuarded) tellGuardian({ forget: pid });
  });
  return end;
}

let ending = false;
/** What may not be interrupted must not begin any more. */
export const isEnding = () => ending;

/** Interrupts what may be interrupted, and waits for the end of all. */
export async function endCommands() {
  ending = true;
  for (const { interrupt } of commands) interrupt();
  await Promise.all([...commands].map(({ end }) => end));
}
