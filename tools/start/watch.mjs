import path from 'node:path';
import { Failure } from '../infrastructure/failure.mjs';
import { projectDir } from '../infrastructure/outside.mjs';
import { Rank, startProcess } from '../infrastructure/processes.mjs';
import { hashOfOutput } from './build.mjs';
import { nameWidth } from './services.mjs';
import { isStopping } from './shutdown.mjs';
import { colour, print } from './steps.mjs';

/**
 * Builds a service and goes on building it whenever its sources change.
 * @param {import('./services.mjs').Service} service
 * @returns {Promise<(changed: () => Promise<void>) => void>} once it is built: takes what to do when the result is another one
 */
export async function watch(service) {
  const label = colour('gray', `${service.name.padEnd(nameWidth)} | build:`);
  /** @type {(() => Promise<void>) | undefined} */
  let changed;
  let built = '';
  /** @type {(value: void) => void} */
  let firstBuilt = () => {};
  const first = new Promise((resolve) => (firstBuilt = resolve));

  const finished = () => {
    const now = hashOfOutput(service);
    if (changed && now !== built) {
      print(`${label} ${service.name} has changed, restarting it`);
      void changed();
    }
    built = now;
    firstBuilt();
  };
  const onLine = (/** @type {string} */ line) => {
    if (/Found 0 errors/.test(line)) finished();
    else if (line.trim() && !/Starting compilation|File change detected/.test(line)) print(`${label} ${line}`);
  };
  const nest = path.join(projectDir, 'node_modules/@nestjs/cli/bin/nest.js');
  const command = [nest, 'build', service.name, '--watch', '--preserveWatchOutput'];
  const compiler = await startProcess(process.execPath, command, {
    cwd: projectDir,
    env: process.env,
    onLine,
    rank: Rank.service,
  });
  void compiler.exited.then(() => {
    if (!isStopping()) print(`${label} the compiler has ended; changes go unnoticed from now on`);
  });
  await Promise.race([first, compiler.exited]);
  if (!built)
    throw new Failure(`The compiler for ${service.name} has ended.`, `Look at: npx nest build ${service.name}`);
  return (callback) => (changed = callback);
}
