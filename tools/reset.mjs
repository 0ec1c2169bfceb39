// `npm run reset`: removes everything that runs of this clone have kept: databases, messages, logs.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Failure, describe } from './infrastructure/failure.mjs';
import { dataDir, projectDir, removeAllData } from './infrastructure/outside.mjs';
import { endRemembered, runBehind } from './infrastructure/processes.mjs';
import { refuseWhileRunning } from './start/lock.mjs';

try {
  const { help } = readArguments();
  if (help)
    console.log(
      'Usage: npm run reset\n\nRemoves .data/: the databases, the broker and their logs. Stop the system first.',
    );
  else await reset();
} catch (error) {
  console.error(`✗ ${describe(error)}`);
  process.exitCode = 1;
}

function readArguments() {
  try {
    return parseArgs({ options: { help: { type: 'boolean', short: 'h' } } }).values;
  } catch (error) {
    throw new Failure(/** @type {Error} */ (error).message.split('. ')[0] + '.', 'npm run reset -- --help');
  }
}

async function reset() {
  refuseWhileRunning();
  for (const file of lists()) {
    const pid = runBehind(file);
    if (pid)
      throw new Failure(
        `${path.relative(projectDir, path.dirname(file))} is in use (pid ${pid}).`,
        `Stop it: kill ${pid}`,
      );
  }
  for (const file of lists()) await endRemembered(file, console.log);
  let removed = 0;
  removeAllData((line) => {
    removed += 1;
    console.log(line);
  });
  console.log(removed > 0 ? 'The next npm start begins with empty databases.' : 'There is nothing to remove.');
}

/** The lists of processes that runs of this clone keep: npm start, npm test, and servers for working by hand. */
function lists() {
  const folders = existsSync(dataDir) ? readdirSync(dataDir).map((name) => path.join(dataDir, name)) : [];
  return [dataDir, ...folders].map((folder) => path.join(folder, 'running.json')).filter((file) => existsSync(file));
}
