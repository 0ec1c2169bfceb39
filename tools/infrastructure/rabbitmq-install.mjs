import { chmodSync, existsSync, readdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure } from './failure.mjs';
import { isEnding, run } from './commands.mjs';

/** Where package managers put what PATH may not show to an ordinary user. */
const usualFolders = [
  '/opt/homebrew/sbin',
  '/opt/homebrew/bin',
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/lib/rabbitmq/bin',
  '/opt/rabbitmq/sbin',
];

/** PATH for the broker's own scripts, which look for Erlang there. */
export const searchPath = () =>
  [...new Set([...(process.env.PATH ?? '').split(path.delimiter), ...usualFolders, '/usr/bin', '/bin'])]
    .filter(Boolean)
    .join(path.delimiter);

/**
 * @param {string} program
 * @returns {string | undefined}
 */
export const which = (program) =>
  searchPath()
    .split(path.delimiter)
    .map((folder) => path.join(folder, program))
    .find((file) => existsSync(file));

/**
 * The folder with RabbitMQ's real scripts. What lies in /usr/sbin on Debian is a wrapper that refuses ordinary users and
 * forces the system's own settings; the real ones have `rabbitmq-env` beside them.
 * @returns {string | undefined}
 */
export function findRabbitMq() {
  const folders = searchPath().split(path.delimiter);
  const versions = '/usr/lib/rabbitmq/lib';
  if (existsSync(versions)) folders.push(...readdirSync(versions).map((name) => path.join(versions, name, 'sbin')));
  return folders
    .map((folder) => path.join(folder, 'rabbitmq-server'))
    .filter((file) => existsSync(file))
    .map((file) => path.dirname(realpathSync(file)))
    .find((folder) => existsSync(path.join(folder, 'rabbitmq-env')));
}

export const canInstallRabbitMq = () =>
  process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');

/** @param {(line: string) => void} log */
export async function installRabbitMq(log) {
  const hadErlang = existsSync('/usr/bin/erl');
  log('RabbitMQ is not installed; installing it with apt-get (the package rabbitmq-server and Erlang, about 80 MB)');
  const restore = keepServicesStopped();
  try {
    await apt(['update'], log);
    if (isEnding()) throw new Failure('stopping');
    await apt(['install', '-y', '--no-install-recommends', 'rabbitmq-server'], log);
  } finally {
    restore();
  }
  await run('systemctl', ['disable', 'rabbitmq-server', ...(hadErlang ? [] : ['epmd.service', 'epmd.socket'])]);
  if (!findRabbitMq())
    throw new Failure('rabbitmq-server was installed, but its scripts are not where they are expected.');
}

/**
 * Debian starts a service as it installs it, unless this script says no. We run a private node and want no other.
 * @returns {() => void} puts back what was there
 */
function keepServicesStopped() {
  const policy = '/usr/sbin/policy-rc.d';
  const aside = `${policy}.before-reactive-microservices`;
  if (existsSync(policy) && !existsSync(aside)) renameSync(policy, aside);
  // Only while we live: if we are killed, nobody puts back what was there.
  writeFileSync(policy, `#!/bin/sh\nkill -0 ${process.pid} 2>/dev/null && exit 101\nexit 0\n`);
  chmodSync(policy, 0o755);
  const restore = () => {
    rmSync(policy, { force: true });
    if (existsSync(aside)) renameSync(aside, policy);
    process.off('exit', restore);
  };
  process.once('exit', restore);
  return restore;
}

/**
 * @param {string[]} args
 * @param {(line: string) => void} log
 */
async function apt(args, log) {
  // DPkg::Lock::Timeout: unattended upgrades often hold the lock on a machine that has just booted
  const { code, stdout, stderr } = await run('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    mustFinish: true, // an interrupted dpkg leaves the system to repair
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
    onLine: (line) => /^(Get:|Unpacking|Setting up)/.test(line) && log(line),
  });
  if (code === 0) return;
  const errors = `${stdout}\n${stderr}`.split('\n').filter((line) => /^(E:|Err:|dpkg: error)/.test(line));
  throw new Failure(
    `apt-get ${args[0]} failed: ${errors.slice(0, 3).join(' ') || `exit code ${code}`}`,
    `Install RabbitMQ by hand, or give the address of one:\n${waysToRabbitMq()}`,
  );
}

/** What a person can do so that there is a RabbitMQ. */
export const waysToRabbitMq = () =>
  [
    'macOS:          brew install rabbitmq',
    'Debian, Ubuntu: sudo apt-get install rabbitmq-server   (it need not be running)',
    'Docker:         start Docker; the broker then runs as a container',
    'elsewhere:      RABBITMQ_URL=amqp://user:password@host:5672/vhost npm start',
  ].join('\n');
