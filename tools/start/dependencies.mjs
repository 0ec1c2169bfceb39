import { readdirSync } from 'node:fs';
import path from 'node:path';
import { Failure } from '../infrastructure/failure.mjs';
import { projectDir, readJson } from '../infrastructure/outside.mjs';
import { run } from '../infrastructure/commands.mjs';

/** @typedef {{ version?: string, optional?: boolean, link?: boolean, os?: string[], cpu?: string[], libc?: string[] }} Package */

/** @param {string} file @returns {Record<string, Package> | undefined} */
const packagesOf = (file) => readJson(path.join(projectDir, file))?.packages;

/**
 * Whether node_modules is what package-lock.json asks for. npm writes a lock file of its own there when it has finished; so this
 * holds however they were installed, and not after an interrupted attempt.
 */
export function areDependenciesFresh() {
  const [wanted, installed] = [packagesOf('package-lock.json'), packagesOf('node_modules/.package-lock.json')];
  if (!wanted || !installed) return false;
  delete wanted[''];
  return (
    Object.keys(installed).every((name) => name in wanted) &&
    Object.entries(wanted).every(([name, { version }]) =>
      installed[name] ? installed[name].version === version : isForOtherMachines(/** @type {Package} */ (wanted[name])),
    )
  );
}

/** @param {Package} entry */
function isForOtherMachines({ optional, os, cpu, libc }) {
  if (!optional) return false;
  const includes = (/** @type {string[] | undefined} */ list, /** @type {string} */ value) =>
    !list || list.includes(value);
  return libc !== undefined || !includes(os, process.platform) || !includes(cpu, process.arch) || (!os && !cpu);
}

/**
 * @param {...string} args
 * @returns {[string, ...string[]]} the command; when npm has started us, that very npm
 */
export function npm(...args) {
  const { npm_execpath: script } = process.env;
  return script?.endsWith('.js') ? [process.execPath, script, ...args] : ['npm', ...args];
}

/** @param {(text: string) => void} progress */
export async function installDependencies(progress) {
  const total = new Set(
    Object.keys(packagesOf('package-lock.json') ?? {}).map((name) => name.split('node_modules/')[1]),
  ).size;
  const count = setInterval(() => progress(`${Math.min(99, Math.round((countPackages() / total) * 100))} %`), 500);
  const [command, ...args] = npm('ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error');
  const { code, stdout, stderr } = await run(command, args, { cwd: projectDir, env: process.env });
  clearInterval(count);
  if (code !== 0)
    throw new Failure(`npm ci failed (exit code ${code}).\n${shorten(stderr || stdout)}`, remedyFor(stderr));
}

function countPackages() {
  try {
    return readdirSync(path.join(projectDir, 'node_modules')).length;
  } catch {
    return 0;
  }
}

/** @param {string} output */
const shorten = (output) =>
  output
    .split('\n')
    .filter((line) => line.trim() && !/A complete log of this run|\.log$/.test(line))
    .slice(0, 12)
    .join('\n');

/** @param {string} output */
function remedyFor(output) {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ENETUNREACH/.test(output)) {
    return 'npm cannot reach its registry. Check the network, and: npm config get registry';
  }
  if (/EUSAGE|in sync/.test(output))
    return 'package.json and package-lock.json disagree. Bring them together: npm install';
  if (/EACCES|EPERM/.test(output))
    return 'No permission. Is node_modules owned by another user? Give it back with chown.';
  if (/ENOSPC/.test(output)) return 'The disk is full. Free about 500 MB.';
  if (/spawn npm ENOENT/.test(output)) return 'npm is not in PATH; it comes with Node from https://nodejs.org';
  return 'More about it: npm ci';
}
