import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The project's own folder. */
export const projectDir = path.resolve(import.meta.dirname, '../..');

/** Everything that a run leaves behind, apart from what is listed in `outside.json` there. */
export const dataDir = path.join(projectDir, '.data');

/** Tells this clone from others on the same machine. */
export const installation = createHash('sha256').update(projectDir).digest('hex').slice(0, 8);

const record = path.join(dataDir, 'outside.json');

/** @returns {string[]} the folders outside the project that belong to it */
export const outsideFolders = () => (existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : []);

/**
 * Makes a folder outside the project, remembered so that `npm run reset` removes it.
 * @param {string} folder
 */
export function makeOutsideFolder(folder) {
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(record, JSON.stringify([...new Set([...outsideFolders(), folder])]));
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  return folder;
}

/** @param {(line: string) => void} log */
export function removeAllData(log) {
  for (const folder of [...outsideFolders(), dataDir]) {
    if (!existsSync(folder)) continue;
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    log(`removed ${folder}`);
  }
}
