// `npm run reset`: removes everything that runs of this clone have kept: databases, messages, logs.
import { parseArgs } from 'node:util';
import { Failure, describe } from './infrastructure/failure.mjs';
import { processLists, requireUnused } from './infrastructure/in-use.mjs';
import { removeAllData } from './infrastructure/outside.mjs';
import { endRemembered } from './infrastructure/processes.mjs';
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
  requireUnused();
  for (const file of processLists()) await endRemembered(file, console.log);
  let removed = 0;
  removeAllData((line) => {
    removed += 1;
    console.log(line);
  });
  console.log(removed > 0 ? 'The next npm start begins with empty databases.' : 'There is nothing to remove.');
}
