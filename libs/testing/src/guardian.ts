import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import path from 'node:path';
import { projectDir } from './environment.js';

let guardian: ChildProcess | undefined;

/** Ends the process when this one was killed and could not do so itself. */
export function guard(pid: number): void {
  tell({ watch: { pid, group: false, signal: 'SIGTERM', rank: 1, graceMs: 5000 } });
}

export function forget(pid: number): void {
  tell({ forget: pid });
}

function tell(message: object): void {
  guardian ??= start();
  guardian.stdin?.write(`${JSON.stringify(message)}\n`);
}

function start(): ChildProcess {
  const script = path.join(projectDir, 'tools/infrastructure/guardian.mjs');
  const child = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  child.stdin.on('error', () => undefined);
  child.unref();
  (child.stdin as Socket).unref();
  return child;
}
