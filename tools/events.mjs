// npm run events -- …: runs the compiled command of libs/messaging, and compiles it first if what there is is out of date.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe } from './infrastructure/failure.mjs';
import { projectDir } from './infrastructure/outside.mjs';
import { compile } from './start/build.mjs';
import { services } from './start/services.mjs';

const command = 'libs/messaging/src/operations/cli/main.js';
const compiler = path.join(projectDir, 'node_modules/@swc/core');

try {
  await import(pathToFileURL(await findCommand()).href);
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}

async function findCommand() {
  if (!existsSync(compiler)) {
    // Without the packages of development there is only what `npm run build` has compiled together with the services.
    const programs = services.map(({ name }) => path.join(projectDir, 'dist/apps', name, command));
    const program = programs.find((file) => existsSync(file));
    if (program) return program;
  }
  await compile(['libs'], 'dist/events');
  return path.join(projectDir, 'dist/events', command);
}
