// A file system of a few megabytes, for a table that is to run out of space. Linux and root only.
import { execFile } from 'node:child_process';
import { chownSync, mkdirSync, rmSync, statSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { run } from '../../../tools/infrastructure/commands.mjs';

/** @type {Set<string>} */
const mounted = new Set();

/** Why there cannot be one here. */
export function whyNoSmallDisk() {
  if (process.platform !== 'linux') return 'needs Linux, to mount a small file system';
  if (process.getuid?.() !== 0) return 'needs root, to mount a small file system';
  return undefined;
}

/**
 * Moves a table of a service to a file system that is full but for `freeBytes`.
 * @param {import('./trial.mjs').Trial} trial
 * @param {{ name: string, table: string, freeBytes: number }} options
 * @returns {Promise<() => void>} makes room
 */
export async function moveToSmallDisk(trial, { name, table, freeBytes }) {
  const { dir } = trial.servers.postgres;
  const folder = `${dir}-small-${trial.scenario.name}`;
  const tablespace = `small_${process.pid}`;
  mkdirSync(folder, { recursive: true });
  await must('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', folder]);
  mounted.add(folder);
  trial.lastly.push(async () => {
    await trial.servers.asSuperuser(`drop tablespace if exists ${tablespace}`);
    await must('umount', [folder]);
    mounted.delete(folder);
    rmSync(folder, { recursive: true, force: true });
  });
  const { uid, gid } = statSync(dir);
  const data = path.join(folder, 'data');
  mkdirSync(data);
  chownSync(data, uid, gid);
  await trial.servers.asSuperuser(`create tablespace ${tablespace} location '${data}'`);
  await trial.rows(name, `alter table ${table} set tablespace ${tablespace}`);
  const filler = path.join(folder, 'filler');
  fill(filler, freeBytes);
  return () => rmSync(filler);
}

/** Reactions write meanwhile, so the disk may be full before the file is as large as it was to be. @param {string} file @param {number} freeBytes */
function fill(file, freeBytes) {
  const { bavail, bsize } = statfsSync(path.dirname(file));
  try {
    writeFileSync(file, Buffer.alloc(Math.max(0, bavail * bsize - freeBytes)));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOSPC') throw error;
  }
}

/** Those of a run that is interrupted, whose Postgres has ended. */
export async function unmountSmallDisks() {
  for (const folder of mounted) await promisify(execFile)('umount', [folder]).catch(() => {});
}

/** @param {string} command @param {string[]} args */
async function must(command, args) {
  const result = await run(command, args);
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr || result.stdout}`);
  return result;
}
