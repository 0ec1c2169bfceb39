// `npm start` for the second time, in a copy of the project, from the command to two services that are ready.
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectDir } from '../../tools/infrastructure/outside.mjs';
import { freePort } from '../../tools/infrastructure/ports.mjs';
import { Rank, startProcess } from '../../tools/infrastructure/processes.mjs';
import { services } from '../../tools/start/services.mjs';
import { runDir } from '../harness/servers.mjs';

/** @typedef {import('../harness/measure.mjs').Context} Context */

const LEFT_OUT = ['.data', '.git', 'node_modules', 'dist', '.env'];
const PATIENCE_MS = 240_000;
const GRACE_MS = 60_000;

/** @param {Context} context */
export async function secondStart({ tell }) {
  const copy = path.join(runDir, 'start');
  mkdirSync(copy, { recursive: true });
  try {
    // Folder by folder: the copy lies below the project itself.
    for (const name of ['apps', 'libs', 'tools', 'examples', 'test', 'bench', 'deploy', 'docs']) {
      if (existsSync(path.join(projectDir, name))) copyInto(copy, name);
    }
    for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'nest-cli.json', '.npmrc']) {
      if (existsSync(path.join(projectDir, name))) copyInto(copy, name);
    }
    symlinkSync(path.join(projectDir, 'node_modules'), path.join(copy, 'node_modules'));
    tell('first start');
    const first = await start(copy);
    tell('second start');
    const second = await start(copy);
    return { first, seconds: second };
  } finally {
    rmSync(copy, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** @param {string} copy @param {string} name */
const copyInto = (copy, name) =>
  cpSync(path.join(projectDir, name), path.join(copy, name), {
    recursive: true,
    filter: (source) => !LEFT_OUT.includes(path.basename(source)),
  });

/** Seconds until both services are ready. @param {string} copy */
async function start(copy) {
  const names = [...services.map(({ name }) => name), 'rabbitmq', 'management', 'postgres'];
  const ports = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await freePort()])));
  const args = names.flatMap((name) => [`--${name}-port`, String(ports[name])]);
  const logFile = path.join(runDir, 'start.log');
  const started = performance.now();
  const running = await startProcess('npm', ['start', '--', ...args], {
    cwd: copy,
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    logFile,
    rank: Rank.service,
    graceMs: () => GRACE_MS,
  });
  try {
    while (!(await areReady([ports.users, ports.orders]))) {
      if (running.exit) throw new Error(`npm start has ended: ${running.log().slice(-2_000)}`);
      if (performance.now() - started > PATIENCE_MS)
        throw new Error(`npm start is not ready: ${running.log().slice(-2_000)}`);
      await sleep(50);
    }
    return (performance.now() - started) / 1_000;
  } finally {
    await running.stop();
    // npm may be gone before what it has started.
    const lock = path.join(copy, '.data', 'start.lock');
    for (const deadline = Date.now() + GRACE_MS; existsSync(lock) && Date.now() < deadline;) await sleep(50);
  }
}

/** @param {number[]} ports */
async function areReady(ports) {
  const answers = await Promise.all(
    ports.map((port) =>
      fetch(`http://127.0.0.1:${port}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      ),
    ),
  );
  return answers.every(Boolean);
}
