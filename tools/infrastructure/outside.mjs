import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The project's own folder. */
export const projectDir = path.resolve(import.meta.dirname, '../..');

/** Everything that a run leaves behind, apart from what is listed in `outside.json` there. */
export const dataDir = path.join(projectDir, '.data');

/** Tells this clone from others on the same machine. */
export const installation = createHash('sha256').update(projectDir).digest('hex').slice(0, 8);

const record = path.join(dataDir, 'outside.json');

/** Where data go that must be outside of the project. */
export const usualOutsideFolder = `/var/lib/reactive-microservices-${installation}`;

/**
 * What a file holds, if it is there and whole: one that was being written when the machine lost its power, or its disk its last
 * byte, is empty.
 * @param {string} file
 * @returns {any}
 */
export function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code && code !== 'ENOENT') throw error;
    return undefined;
  }
}

/** @returns {string[]} the folders outside the project that belong to it */
export const outsideFolders = () =>
  [...new Set([usualOutsideFolder, ...(readJson(record) ?? [])])].filter((folder) => existsSync(folder));

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

/**
 * @param {(line: string) => void} log
 * @param {string[]} [except] names in the data folder that stay
 */
export function removeAllData(log, except = []) {
  const inside = existsSync(dataDir) ? readdirSync(dataDir).filter((name) => !except.includes(name)) : [];
  const doomed = [...outsideFolders(), ...inside.map((name) => path.join(dataDir, name))].filter((item) =>
    existsSync(item),
  );
  for (const item of doomed) rmSync(item, { recursive: true, force: true, maxRetries: 5 });
  if (except.length === 0) rmSync(dataDir, { recursive: true, force: true });
  for (const item of doomed) log(`removed ${item.startsWith(projectDir) ? path.relative(projectDir, item) : item}`);
}
