import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { Failure } from '../infrastructure/failure.mjs';
import { projectDir } from '../infrastructure/outside.mjs';
import { run } from '../infrastructure/commands.mjs';
import { entryOf, folderOf } from './services.mjs';

/** @typedef {import('./services.mjs').Service} Service */

/** @param {string} relative */
const inProject = (relative) => path.join(projectDir, relative);

/** @param {Service} service */
const stampOf = ({ name }) => inProject(`dist/apps/${name}/.built-from`);

/** @param {Service} service */
export const isBuilt = (service) =>
  existsSync(inProject(entryOf(service))) &&
  existsSync(stampOf(service)) &&
  readFileSync(stampOf(service), 'utf8') === hashOfSources(service);

/** @param {Service} service */
export const nestCommand = (service) => [inProject('node_modules/@nestjs/cli/bin/nest.js'), 'build', service.name];

/** @param {Service} service */
export async function build(service) {
  const hash = hashOfSources(service); // before: what is changed meanwhile is built next time
  const { code, stdout, stderr } = await run(process.execPath, nestCommand(service), {
    cwd: projectDir,
    env: process.env,
  });
  if (code !== 0)
    throw new Failure(`${service.name} could not be built:\n${stripVTControlCharacters(`${stdout}${stderr}`).trim()}`);
  writeFileSync(stampOf(service), hash);
}

/** @param {Service} service the app's own sources, those of all libraries, and what says how to build them */
function hashOfSources(service) {
  const folder = folderOf(service);
  const configuration = ['package-lock.json', 'tsconfig.json', 'nest-cli.json', `${folder}/tsconfig.app.json`];
  const files = [...configuration, ...sourcesIn(folder), ...sourcesIn('libs')];
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

/** @param {Service} service what is to be run: a change in it is a reason to restart */
export function hashOfOutput({ name }) {
  const folder = inProject(`dist/apps/${name}`);
  const hash = createHash('sha256');
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (file.endsWith('.js')) hash.update(`${file}\0`).update(readFileSync(path.join(folder, file)));
  }
  return hash.digest('hex');
}
