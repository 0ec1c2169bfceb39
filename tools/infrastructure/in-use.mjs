import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Failure } from './failure.mjs';
import { dataDir, projectDir } from './outside.mjs';
import { runBehind } from './processes.mjs';

/** The lists of processes that runs of this clone keep: npm start, npm test, and servers for working by hand. */
export function processLists() {
  const folders = existsSync(dataDir) ? readdirSync(dataDir).map((name) => path.join(dataDir, name)) : [];
  return [dataDir, ...folders].map((folder) => path.join(folder, 'running.json')).filter((file) => existsSync(file));
}

/** Before data are removed: nobody else may be working with them. */
export function requireUnused() {
  for (const file of processLists()) {
    const pid = runBehind(file);
    if (pid)
      throw new Failure(
        `${path.relative(projectDir, path.dirname(file))} is in use (pid ${pid}).`,
        `Stop it: kill ${pid}`,
      );
  }
}
