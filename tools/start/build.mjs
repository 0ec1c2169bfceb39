import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { Failure } from '../infrastructure/failure.mjs';
import { projectDir } from '../infrastructure/outside.mjs';
import { run } from '../infrastructure/commands.mjs';
import { bundleOf, entryOf, folderOf, outputOf } from './services.mjs';

/** @typedef {import('./services.mjs').Buildable} Buildable */

/** @param {string} relative */
const inProject = (relative) => path.join(projectDir, relative);

const BUNDLER = inProject('tools/start/bundle.mjs');

/** @param {Buildable} service */
const stampOf = (service) => inProject(`${outputOf(service)}/.built-from`);

/** @param {Buildable} service */
export const isBuilt = (service) =>
  existsSync(inProject(bundleOf(service))) &&
  existsSync(stampOf(service)) &&
  readFileSync(stampOf(service), 'utf8') === hashOfSources(service);

/** @param {Buildable} service */
export const nestCommand = (service) => [inProject('node_modules/@nestjs/cli/bin/nest.js'), 'build', service.name];

/** @param {Buildable} service */
export async function build(service) {
  const hash = hashOfSources(service); // before: what is changed meanwhile is built next time
  for (const command of [nestCommand(service), [BUNDLER, entryOf(service), bundleOf(service)]]) {
    const { code, stdout, stderr } = await run(process.execPath, command, { cwd: projectDir, env: process.env });
    const output = stripVTControlCharacters(`${stdout}${stderr}`).trim();
    if (code !== 0) throw new Failure(`${service.name} could not be built:\n${output}`);
  }
  writeFileSync(stampOf(service), hash);
}

/** @param {Buildable} service the app's own sources, those of all libraries, and what says how to build them */
function hashOfSources(service) {
  const folder = folderOf(service);
  const configuration = ['package-lock.json', 'tsconfig.json', 'nest-cli.json', `${folder}/tsconfig.app.json`];
  const bundling = ['bundle.mjs', 'warm-up.mjs'].map((file) => `tools/start/${file}`);
  const files = [...configuration, ...bundling, ...sourcesIn(folder), ...sourcesIn('libs')];
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(inProject(file)))
      .update('\0');
  return hash.digest('hex');
}

/** @param {string} folder */
const sourcesIn = (folder) =>
  readdirSync(inProject(folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('spec.ts'))
    .map((file) => path.join(folder, file))
    .sort();

/** @param {Buildable} service what is to be run: a change in it is a reason to restart */
export function hashOfOutput(service) {
  const folder = inProject(outputOf(service));
  const hash = createHash('sha256');
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (file.endsWith('.js')) hash.update(`${file}\0`).update(readFileSync(path.join(folder, file)));
  }
  return hash.digest('hex');
}
