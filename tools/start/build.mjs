import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { Failure } from '../infrastructure/failure.mjs';
import { projectDir } from '../infrastructure/outside.mjs';
import { run } from '../infrastructure/commands.mjs';
import { isAlive } from '../infrastructure/signals.mjs';
import { bundleOf, entryOf, folderOf, outputOf } from './services.mjs';

/** @typedef {import('./services.mjs').Buildable} Buildable */

/** @param {string} relative */
const inProject = (relative) => path.join(projectDir, relative);

const COMPILER = inProject('tools/start/compile.mjs');
const BUNDLER = inProject('tools/start/bundle.mjs');

/** @param {string} output */
const stampOf = (output) => inProject(`${output}/.built-from`);

/** @param {string} output @param {string[]} folders of sources */
const isFresh = (output, folders) =>
  existsSync(stampOf(output)) && readFileSync(stampOf(output), 'utf8') === hashOf(folders);

/** @param {Buildable} service */
export const isBuilt = (service) =>
  existsSync(inProject(bundleOf(service))) && isFresh(outputOf(service), foldersOf(service));

/**
 * Makes what {@link entryOf} and {@link bundleOf} name.
 * @param {Buildable} service
 */
export async function build(service) {
  const hash = hashOf(foldersOf(service)); // before: what is changed meanwhile is built next time
  await replace(
    outputOf(service),
    () => isBuilt(service),
    async (output) => {
      const fresh = { ...service, output };
      await runTool(output, [COMPILER, output, ...foldersOf(service)]);
      await runTool(output, [BUNDLER, entryOf(fresh), bundleOf(fresh)]);
      writeFileSync(stampOf(output), hash);
    },
  );
}

/**
 * Compiles these folders alone, unless that has been done.
 * @param {string[]} folders of sources
 * @param {string} output
 */
export async function compile(folders, output) {
  const isDone = () => isFresh(output, folders);
  if (isDone()) return;
  const hash = hashOf(folders);
  await replace(output, isDone, async (fresh) => {
    await runTool(fresh, [COMPILER, fresh, ...folders]);
    writeFileSync(stampOf(fresh), hash);
  });
}

/**
 * What is there goes only when there is something new, and at once: it may be running, and others may build, too.
 * @param {string} output
 * @param {() => boolean} isDone by somebody else meanwhile
 * @param {(folder: string) => Promise<void>} make
 */
async function replace(output, isDone, make) {
  const [parent, name] = [path.dirname(output), path.basename(output)];
  removeLeftovers(parent, `.${name}-`);
  const fresh = path.join(parent, `.${name}-${process.pid}`); // as deep as the output: maps say where the sources are from there
  try {
    await make(fresh);
    for (let attempts = 3; !isDone(); attempts--) {
      rmSync(inProject(output), { recursive: true, force: true, maxRetries: 3 });
      try {
        renameSync(inProject(fresh), inProject(output));
        return;
      } catch (error) {
        if (attempts === 1) throw error; // somebody else has been quicker, three times
      }
    }
  } finally {
    rmSync(inProject(fresh), { recursive: true, force: true });
  }
}

/** Of builds that were killed. @param {string} folder @param {string} prefix in front of the pid */
function removeLeftovers(folder, prefix) {
  mkdirSync(inProject(folder), { recursive: true });
  for (const name of readdirSync(inProject(folder))) {
    const pid = Number(name.startsWith(prefix) && name.slice(prefix.length));
    if (pid > 0 && pid !== process.pid && !isAlive(pid)) rmSync(inProject(`${folder}/${name}`), { recursive: true });
  }
}

/** @param {string} output messages name the sources of what is in it @param {string[]} command */
async function runTool(output, command) {
  const { code, stdout, stderr } = await run(process.execPath, command, { cwd: projectDir, env: process.env });
  if (code === 0) return;
  const said = stripVTControlCharacters(`${stdout}${stderr}`).trim();
  const compiled = new RegExp(`${output.replaceAll('.', '\\.')}/(\\S+?)\\.js`, 'g');
  throw new Failure(`What has changed cannot be compiled:\n${said.replaceAll(compiled, '$1.ts')}`);
}

/** @param {string[]} folders @returns {string} of their sources, and of what makes something of them */
function hashOf(folders) {
  const tools = ['typescript.mjs', ...['build', 'compile', 'bundle', 'warm-up'].map((name) => `start/${name}.mjs`)];
  const installed = 'node_modules/.package-lock.json';
  const configuration = [installed, 'tsconfig.json', ...tools.map((file) => `tools/${file}`)];
  const hash = createHash('sha256');
  for (const file of [...configuration, ...folders.flatMap(sourcesIn)])
    hash
      .update(`${file}\0`)
      .update(readFileSync(inProject(file)))
      .update('\0');
  return hash.digest('hex');
}

/** The service's own sources, and those of all libraries. @param {Buildable} service */
export const foldersOf = (service) => [`${folderOf(service)}/src`, ...(service.also ?? []), 'libs'];

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
