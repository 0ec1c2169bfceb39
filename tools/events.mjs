// npm run events -- …: runs the compiled command of libs/messaging, and compiles it first if what there is is out of date.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { run } from './infrastructure/commands.mjs';
import { describe, Failure } from './infrastructure/failure.mjs';
import { projectDir } from './infrastructure/outside.mjs';
import { isBuilt } from './start/build.mjs';
import { services } from './start/services.mjs';

const command = 'libs/messaging/src/operations/cli/main.js';
const folder = path.join(projectDir, 'dist/events');
const stamp = path.join(folder, '.built-from');
const lock = path.join(projectDir, 'dist/.events-lock');
const nest = path.join(projectDir, 'node_modules/@nestjs/cli/bin/nest.js');

try {
  await import(pathToFileURL(await findCommand()).href);
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}

async function findCommand() {
  // `npm start` has compiled it together with the services.
  const inServices = services.filter(({ name }) => existsSync(path.join(projectDir, 'dist/apps', name, command)));
  const service = existsSync(nest) ? inServices.find(isBuilt) : inServices[0];
  if (service) return path.join(projectDir, 'dist/apps', service.name, command);
  const hash = hashOfSources();
  const isFresh = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
  if (!isFresh()) await whileLocked(() => (isFresh() ? undefined : build(hash)));
  return path.join(folder, command);
}

/** @param {string} hash */
async function build(hash) {
  process.stderr.write('Compiling the command (once) …\n');
  const { code, stdout, stderr } = await run(
    process.execPath,
    [nest, 'build', 'messaging', '--path', 'libs/messaging/tsconfig.events.json'],
    { cwd: projectDir },
  );
  if (code !== 0) throw new Failure(`The command could not be compiled:\n${`${stdout}${stderr}`.trim()}`);
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

function hashOfSources() {
  const sources = ['context', 'contracts', 'database', 'messaging'].flatMap((library) => {
    const dir = `libs/${library}/src`;
    const files = readdirSync(path.join(projectDir, dir), { recursive: true, encoding: 'utf8' });
    return files.filter((file) => /\.ts$/.test(file) && !/spec\.ts$/.test(file)).map((file) => path.join(dir, file));
  });
  const hash = createHash('sha256');
  for (const file of ['package-lock.json', 'tsconfig.json', ...sources].sort()) {
    hash.update(`${file}\0`).update(readFileSync(path.join(projectDir, file)));
  }
  return hash.digest('hex');
}
