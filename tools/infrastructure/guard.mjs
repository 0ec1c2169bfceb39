import { spawn } from 'node:child_process';
import path from 'node:path';

/** @typedef {import('./guardian.mjs').Ward} Ward */

/** @type {import('node:child_process').ChildProcess | undefined} */
let guardian;

/** @param {{ watch: Ward } | { forget: number }} message */
export function tellGuardian(message) {
  if (!guardian || guardian.exitCode !== null) {
    const script = path.join(import.meta.dirname, 'guardian.mjs');
    guardian = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    guardian.stdin?.on('error', () => {});
    guardian.unref();
    /** @type {import('node:net').Socket | null} */ (guardian.stdin)?.unref();
  }
  guardian.stdin?.write(`${JSON.stringify(message)}\n`);
}
