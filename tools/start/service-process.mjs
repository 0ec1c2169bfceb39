import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Failure } from '../infrastructure/failure.mjs';
import { projectDir } from '../infrastructure/outside.mjs';
import { Rank, startProcess } from '../infrastructure/processes.mjs';
import { bundleOf, entryOf, nameWidth, urlAt } from './services.mjs';
import { colour, print } from './steps.mjs';

const colours = /** @type {const} */ (['cyan', 'magenta', 'yellow', 'blue', 'green']);

/**
 * A service as a child process.
 * @param {import('./services.mjs').Service} service
 * @param {number} index
 * @param {NodeJS.ProcessEnv} env what is known of its environment before its servers are there
 * @param {boolean} isWatched it is compiled whenever it changes, but not made one file each time
 */
export function serviceProcess(service, index, env, isWatched) {
  const { name, prefix } = service;
  const url = urlAt(env.HOST, env[`${prefix}_PORT`]);
  const program = ['--enable-source-maps', path.join(projectDir, (isWatched ? entryOf : bundleOf)(service))];
  /** @type {NodeJS.ProcessEnv} */
  let fullEnv = env;
  /** @type {Promise<import('../infrastructure/processes.mjs').Running> | undefined} */
  let warming;
  const label = colour(colours[index % colours.length] ?? 'cyan', `${name.padEnd(nameWidth)} |`);
  /** @type {import('../infrastructure/processes.mjs').Running | undefined} */
  let child;
  /** @type {string[] | undefined} its lines, held back until all services are ready */
  let held = [];
  const onLine = (/** @type {string} */ line) => (held ? void held.push(line) : print(`${label} ${line}`));

  return {
    name,
    prefix,
    url,
    exited: () => child?.exited,
    /** Lets it load its modules while its servers still start. Resolves when it has. */
    async warmUp() {
      if (service.entry || isWatched) return;
      warming = startProcess(process.execPath, program, {
        ...{ cwd: projectDir, onLine, rank: Rank.service, takesMessage: true },
        env: { ...env, WARM_UP: name },
      });
      child = await warming;
      await child.answered;
    },
    /** @param {NodeJS.ProcessEnv} [rest] of its environment, from now on */
    async start(rest = {}) {
      fullEnv = { ...fullEnv, ...rest };
      const warm = await warming;
      warming = undefined;
      if (warm) return warm.tell(rest);
      child = await startProcess(process.execPath, program, {
        ...{ cwd: projectDir, onLine, rank: Rank.service },
        env: fullEnv,
      });
    },
    async stop() {
      await child?.stop();
    },
    /** Resolves when it can work; throws at once if it ends instead. */
    async ready() {
      const deadline = Date.now() + 60_000;
      while (!(await isReady(url))) {
        if (child?.exit) {
          const { code, signal } = await child.exited;
          throw new Failure(`${name} ended (${signal ?? `code ${code}`}) before it was ready. ${lastWords(held)}`);
        }
        if (Date.now() > deadline) {
          throw new Failure(`${name} was not ready after a minute. ${lastWords(held)}`, `Look at ${url}/health/ready`);
        }
        await delay(50);
      }
    },
    showOutput() {
      const lines = held ?? [];
      held = undefined;
      for (const line of lines) onLine(line);
    },
  };
}

/** @param {string} url */
async function isReady(url) {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(3000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** @param {string[] | undefined} lines */
const lastWords = (lines) => (lines?.length ? `Its last words:\n${lines.slice(-25).join('\n')}` : 'It said nothing.');
