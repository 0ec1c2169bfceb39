import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Failure } from './failure.mjs';
import { answers } from './ports.mjs';
import { run } from './commands.mjs';
import { Rank, startProcess } from './processes.mjs';
import { searchPath, which } from './rabbitmq-install.mjs';
import { startsQuickly } from './rabbitmq-modules.mjs';
import { choosePorts } from './rabbitmq-ports.mjs';
import { apiAnswers } from './rabbitmq-probe.mjs';
import { configuration, environment, inherited } from './rabbitmq-settings.mjs';
import { commandLineOf, isAlive, signalProcess, waitForEnd } from './signals.mjs';

/** @typedef {import('./rabbitmq-ports.mjs').Ports} Ports */

const user = 'guest';
const password = 'guest'; // RabbitMQ lets guest in from this machine only, and we listen on this machine only

/**
 * A RabbitMQ of our own. Its name, ports, cookie, home, configuration, data and port mapper are private, so that it neither
 * disturbs nor needs another broker on this machine.
 * @param {{ scripts: string, dataDir: string, ports?: { amqp?: number, management?: number },
 *   statisticsMs?: number, log: (line: string) => void }} options
 *   `scripts` is RabbitMQ's folder of scripts; `ports` that must be used; `statisticsMs` how often queues report their sizes
 */
export async function startPrivateNode({ scripts, dataDir, ports: wanted = {}, statisticsMs = 5000, log }) {
  const dir = path.resolve(dataDir);
  const file = (/** @type {string} */ name) => path.join(dir, name);
  const name = nameOf(dir);
  await stopLeftoverNode(dir, log); // it may hold the ports
  // a first start that was interrupted may leave data that no start can use; nothing was entrusted to them yet
  if (!existsSync(file('was-ready'))) rmSync(file('data'), { recursive: true, force: true });
  for (const folder of ['home', 'data', 'log']) mkdirSync(file(folder), { recursive: true });
  const ports = await choosePorts(wanted, file('ports.json'));
  writeCookie(file('home/.erlang.cookie'));
  writeFileSync(file('enabled_plugins'), '[rabbitmq_management].\n');
  const { conf, advanced } = configuration({ ports, log: file('log'), statisticsMs });
  writeFileSync(file('rabbitmq.conf'), conf);
  writeFileSync(file('advanced.config'), advanced);
  const env = { ...inherited(), ...environment({ dir, name, ports, path: searchPath() }) };

  /** @type {Awaited<ReturnType<typeof startProcess>>[]} */
  let processes = [];
  let isRunning = false;
  const start = async () => {
    isRunning = false;
    for (const former of processes) await former.kill9(); // after a crash, the port mapper
    await stopLeftoverNode(dir, log);
    const logFile = file('log/console.log');
    writeFileSync(logFile, '');
    const mapper = await startPortMapper(ports.epmd, env, logFile);
    const server = await startProcess(path.join(scripts, 'rabbitmq-server'), [], {
      env: { ...env, ...startsQuickly },
      cwd: dir,
      logFile,
      stopGroup: false, // the script passes the signal on, once
      graceMs: () => (isRunning ? 30_000 : 0), // as it starts, it does not heed the signal
    });
    processes = [server, mapper];
    try {
      await ready(server, ports, file('log'));
      isRunning = true;
      writeFileSync(file('was-ready'), '');
    } catch (error) {
      await stop();
      throw error;
    }
  };
  const stop = async () => {
    // RabbitMQ 3.x waits five seconds in vain for this handler as it stops (it asks the application controller, which
    // waits for it); taking it out first costs half a second
    const handler = 'gen_event:delete_handler(rabbit_event, rabbit_mgmt_db_handler, []).';
    if (isRunning) await rabbitmqctl(['eval', handler], 5000);
    for (const running of processes) await running.stop();
    isRunning = false;
  };
  /** @param {string[]} args */
  const rabbitmqctl = (args, timeoutMs = 60_000) =>
    run(path.join(scripts, 'rabbitmqctl'), args, { env, cwd: dir, timeoutMs });
  await start();

  return {
    url: `amqp://${user}:${password}@127.0.0.1:${ports.amqp}`,
    managementUrl: `http://127.0.0.1:${ports.management}`,
    user,
    password,
    owned: true,
    ports,
    get pid() {
      return brokerPid(dir);
    },
    rabbitmqctl,
    get exited() {
      return processes[0]?.exited;
    },
    start,
    stop,
    async kill9() {
      isRunning = false;
      for (const running of processes) await running.kill9();
    },
  };
}

/** @param {string} dir */
function brokerPid(dir) {
  const pid = Number.parseInt(existsSync(`${dir}/pid`) ? readFileSync(`${dir}/pid`, 'utf8') : '', 10);
  return Number.isNaN(pid) ? undefined : pid;
}

const nameOf = (/** @type {string} */ dir) =>
  `reactive-${createHash('sha256').update(dir).digest('hex').slice(0, 8)}@localhost`;

/**
 * Ends the broker of a run that was killed together with its guardian.
 * @param {string} dataDir
 * @param {(line: string) => void} log
 */
export async function stopLeftoverNode(dataDir, log) {
  const dir = path.resolve(dataDir);
  const pid = brokerPid(dir);
  if (!pid || !isAlive(pid) || !commandLineOf(pid).includes(nameOf(dir))) return;
  log(`stopping the broker that an earlier run left behind (pid ${pid})`);
  signalProcess({ pid, group: false }, 'SIGTERM');
  if (!(await waitForEnd(pid, 15_000))) signalProcess({ pid, group: false }, 'SIGKILL');
  await waitForEnd(pid, 5000);
}

/** @param {string} file */
function writeCookie(file) {
  if (!existsSync(file)) writeFileSync(file, randomBytes(20).toString('hex').toUpperCase());
  chmodSync(file, 0o400);
}

/**
 * Erlang would start a port mapper itself, as a daemon that stays behind.
 * @param {number} port
 * @param {NodeJS.ProcessEnv} env
 * @param {string} logFile
 */
async function startPortMapper(port, env, logFile) {
  const epmd = which('epmd');
  if (!epmd) throw new Failure("Erlang's port mapper (epmd) is not in PATH.", 'Reinstall Erlang and RabbitMQ.');
  const args = ['-port', String(port), '-address', '127.0.0.1'];
  return startProcess(epmd, args, { env, logFile, graceMs: () => 3000, rank: Rank.support });
}

/**
 * @param {Awaited<ReturnType<typeof startProcess>>} server
 * @param {Ports} ports
 * @param {string} logs
 */
async function ready(server, ports, logs) {
  const deadline = Date.now() + 120_000;
  for (;;) {
    if (server.exit)
      throw new Failure(`RabbitMQ ended while it was starting: ${reason(server.log())}`, `Its logs are in ${logs}`);
    if (Date.now() > deadline)
      throw new Failure('RabbitMQ was not ready after two minutes.', `Its logs are in ${logs}`);
    const credentials = { user, password };
    if ((await answers(ports.amqp)) && (await apiAnswers(`http://127.0.0.1:${ports.management}`, credentials))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** @param {string} output */
function reason(output) {
  if (/enospc|no space left/i.test(output)) return 'the disk is full';
  if (/eacces|permission denied/i.test(output))
    return 'no permission to use its files (are they owned by another user?)';
  if (/eaddrinuse/i.test(output)) return 'one of its ports was taken meanwhile';
  const lines = output.split('\n').filter((line) => line.trim());
  return `it said:\n${lines.slice(-12).join('\n')}`;
}
