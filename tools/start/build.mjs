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

const COMPILER = inProject('tools/start/compile.mjs');
const BUNDLER = inProject('tools/start/bundle.mjs');

/** @param {Buildable} service */
const stampOf = (service) => inProject(`${outputOf(service)}/.built-from`);

/** @param {Buildable} service */
export const isBuilt = (service) =>
  existsSync(inProject(bundleOf(service))) &&
  existsSync(stampOf(service)) &&
  readFileSync(stampOf(service), 'utf8') === hashOf(foldersOf(service));

/**
 * Makes what {@link entryOf} and {@link bundleOf} name.
 * @param {Buildable} service
 */
export async function build(service) {
  const hash = hashOf(foldersOf(service)); // before: what is changed meanwhile is built next time
  await compile(service.name, foldersOf(service), outputOf(service));
  await runTool(service.name, [BUNDLER, entryOf(service), bundleOf(service)]);
  writeFileSync(stampOf(service), hash);
}

/**
 * @param {string} name for messages
 * @param {string[]} folders of sources
 * @param {string} output
 */
export const compile = (name, folders, output) => runTool(name, [COMPILER, output, ...folders]);

/** @param {string} name @param {string[]} command */
async function runTool(name, command) {
  const { code, stdout, stderr } = await run(process.execPath, command, { cwd: projectDir, env: process.env });
  const output = stripVTControlCharacters(`${stdout}${stderr}`).trim();
  if (code !== 0) throw new Failure(`${name} could not be built:\n${output}`);
}

/** @param {string[]} folders @returns {string} of their sources, and of what says how to build them */
export function hashOf(folders) {
  const tools = ['typescript.mjs', 'start/compile.mjs', 'start/bundle.mjs', 'start/warm-up.mjs'];
  const configuration = ['package-lock.json', 'tsconfig.json', ...tools.map((file) => `tools/${file}`)];
  const hash = createHash('sha256');
  for (const file of [...configuration, ...folders.flatMap(sourcesIn)])
    hash
      .update(`${file}\0`)
      .update(readFileSync(inProject(file)))
      .update('\0');
  return hash.digest('hex');
}

/** The app's own sources, and those of all libraries. @param {Buildable} service */
const foldersOf = (service) => [`${folderOf(service)}/src`, 'libs'];

/** @param {string} folder @returns {string[]} relative to the project */
export const sourcesIn = (folder) =>
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
