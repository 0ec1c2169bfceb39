import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../infrastructure/failure.mjs';
import { dataDir } from '../infrastructure/outside.mjs';
import { commandLineOf, isAlive } from '../infrastructure/signals.mjs';

const file = path.join(dataDir, 'start.lock');

/** @returns {number | undefined} the process that runs this clone at the moment */
export function runningStart() {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return pid > 0 && pid !== process.pid && isAlive(pid) && /start\.mjs/.test(commandLineOf(pid)) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** One start per clone: two would fight for data and ports. */
export function takeLock() {
  mkdirSync(dataDir, { recursive: true });
  if (!runningStart() && !isBeingWritten()) rmSync(file, { force: true });
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    refuseWhileRunning();
    throw new Failure('Another start of this project has just begun.', 'Look at that one, or try again.');
  }
  process.once('exit', () => rmSync(file, { force: true }));
}

/** Between the making of the file and the writing of the number there is a moment. */
function isBeingWritten() {
  const { size = 1, mtimeMs = 0 } = statSync(file, { throwIfNoEntry: false }) ?? {};
  return size === 0 && Date.now() - mtimeMs < 2_000;
}

export function refuseWhileRunning() {
  const pid = runningStart();
  if (!pid) return;
  throw new Failure(
    `This project is running at the moment (pid ${pid}).`,
    `Stop it with Ctrl-C where it runs, or with: kill ${pid}\nFor a second system at the same time, use a second clone.`,
  );
}
