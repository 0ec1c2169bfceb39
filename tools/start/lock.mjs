import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../infrastructure/failure.mjs';
import { dataDir } from '../infrastructure/outside.mjs';
import { commandLineOf, isAlive } from '../infrastructure/signals.mjs';

const file = path.join(dataDir, 'start.lock');

/** @returns {number | undefined} the process that runs this clone at the moment */
export function runningStart() {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return isAlive(pid) && /start\.mjs/.test(commandLineOf(pid)) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** One start per clone: two would fight for data and ports. */
export function takeLock() {
  mkdirSync(dataDir, { recursive: true });
  if (!runningStart()) rmSync(file, { force: true });
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    refuseWhileRunning();
  }
  process.once('exit', () => rmSync(file, { force: true }));
}

export function refuseWhileRunning() {
  const pid = runningStart();
  if (!pid) return;
  throw new Failure(
    `This project is running at the moment (pid ${pid}).`,
    `Stop it with Ctrl-C where it runs, or with: kill ${pid}\nFor a second system at the same time, use a second clone.`,
  );
}
