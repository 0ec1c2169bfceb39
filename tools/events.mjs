// npm run events -- …: runs the compiled command of libs/messaging, and compiles it first if what there is is out of date.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { describe } from './infrastructure/failure.mjs';
import { projectDir } from './infrastructure/outside.mjs';
import { compile, hashOf } from './start/build.mjs';
import { services } from './start/services.mjs';

const command = 'libs/messaging/src/operations/cli/main.js';
const output = 'dist/events';
const folder = path.join(projectDir, output);
const stamp = path.join(folder, '.built-from');
const lock = path.join(projectDir, 'dist/.events-lock');
const compiler = path.join(projectDir, 'node_modules/@swc/core');

try {
  await import(pathToFileURL(await findCommand()).href);
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}

async function findCommand() {
  if (!existsSync(compiler)) {
    // Without the packages of development there is only what `npm run build` has compiled together with the services.
    const programs = services.map(({ name }) => path.join(projectDir, 'dist/apps', name, command));
    const program = programs.find((file) => existsSync(file));
    if (program) return program;
  }
  const hash = hashOf(['libs']);
  const isFresh = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
  if (!isFresh()) await whileLocked(() => (isFresh() ? undefined : build(hash)));
  return path.join(folder, command);
}

/** @param {string} hash */
async function build(hash) {
  await compile('The command', ['libs'], output);
  writeFileSync(stamp, hash);
}

/** @param {() => Promise<void> | undefined} work */
async function whileLocked(work) {
  mkdirSync(path.dirname(lock), { recursive: true });
  for (let looks = 0; !take(); looks++) {
    if (looks === 20)
      process.stderr.write('Waits for another process that compiles the command (two minutes at most) …\n');
    await delay(100);
  }
  try {
    await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** A lock that is older than any build belongs to a process that was killed. */
function take() {
  try {
    mkdirSync(lock);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error;
    const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (age > 120_000) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}
