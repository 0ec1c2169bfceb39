import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { run } from './commands.mjs';
import { Failure } from './failure.mjs';
import { commandLineOf, isAlive, signalProcess, waitForEnd } from './signals.mjs';

/** @typedef {import('./postgres-place.mjs').Place} Place */

export const user = 'postgres';
export const password = 'postgres'; // the server listens on this machine only

/** @returns {NodeJS.ProcessEnv} ours, without the settings that Postgres would take from it */
export const environment = () => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(PG|LC_|LANG)/.test(key))),
  LC_ALL: 'C',
});

/**
 * Makes the data folder ready for a server: made if missing, used by nobody, of the right version.
 * @param {Place} place
 * @param {(line: string) => void} log
 */
export async function prepareData(place, log) {
  mkdirSync(path.dirname(place.dir), { recursive: true });
  await stopLeftover(place, log);
  if (!existsSync(path.join(place.dir, 'PG_VERSION'))) await initialise(place);
  await checkVersion(place);
}

/**
 * Makes the data folder under another name first, so that an interrupted attempt is not taken for a finished one.
 * @param {Place} place
 */
async function initialise({ bin, dir, account }) {
  for (const name of readdirSync(path.dirname(dir))) {
    if (name.startsWith(`${path.basename(dir)}-new-`)) rmSync(path.join(path.dirname(dir), name), { recursive: true });
  }
  const parent = mkdtempSync(`${dir}-new-`);
  const fresh = path.join(parent, 'data');
  const passwordFile = path.join(parent, 'password');
  try {
    writeFileSync(passwordFile, password);
    if (account) for (const file of [parent, passwordFile]) chownSync(file, account.uid, account.gid);
    const how = [
      '--auth=scram-sha-256',
      `--username=${user}`,
      `--pwfile=${passwordFile}`,
      '--encoding=UTF8',
      '--locale=C',
      '--set=scram_iterations=1', // every connection would cost 4096; this password is no secret
    ];
    const { code, stdout, stderr } = await run(path.join(bin, 'initdb'), [`--pgdata=${fresh}`, ...how], {
      env: environment(),
      cwd: parent,
      ...account,
    });
    if (code !== 0) throw new Failure(`Postgres could not make its data folder: ${reason(`${stdout}\n${stderr}`)}`);
    renameSync(fresh, dir);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** @param {Place} place */
async function checkVersion({ bin, dir }) {
  const [have, program] = [
    readFileSync(path.join(dir, 'PG_VERSION'), 'utf8').trim(),
    await run(path.join(bin, 'postgres'), ['--version']),
  ];
  const need = / (\d+)/.exec(program.stdout)?.[1];
  if (have === need) return;
  throw new Failure(
    `The data in ${dir} belong to Postgres ${have}; this is Postgres ${need}.`,
    'Keep them with pg_dump from the older version, or start anew: npm run reset',
  );
}

/**
 * A server of ours that outlived its run holds the data folder; a number in its pid file that now belongs to another program
 * would keep Postgres from starting.
 * @param {Place} place
 * @param {(line: string) => void} log
 */
async function stopLeftover({ dir }, log) {
  const file = path.join(dir, 'postmaster.pid');
  if (!existsSync(file)) return;
  const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
  if (pid && isAlive(pid) && commandLineOf(pid).includes(dir)) {
    log(`stopping the Postgres that an earlier run left behind (pid ${pid})`);
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGQUIT', 'SIGKILL'])) {
      signalProcess({ pid, group: false }, signal);
      if (await waitForEnd(pid, 10_000)) break;
    }
  }
  rmSync(file, { force: true });
}

/** @param {string} output */
export function reason(output) {
  if (/no space left|check free disk space/i.test(output)) return 'the disk is full.';
  if (/permission denied/i.test(output))
    return `no permission. Are its files owned by another user?\n${lastLines(output)}`;
  if (/could not bind/i.test(output)) return 'its port was taken meanwhile. Start again.';
  return `it said:\n${lastLines(output)}`;
}

/** @param {string} output */
const lastLines = (output) =>
  output
    .split('\n')
    .filter((line) => line.trim())
    .slice(-8)
    .join('\n');
