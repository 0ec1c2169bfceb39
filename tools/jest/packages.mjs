// Jest loads all modules anew for every test file. The packages are some two thousand of them and took it 2 s of CPU each time,
// so what our code imports is bundled first. This also turns the packages that are ES modules only into what Jest can load.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';
import { projectDir } from '../infrastructure/outside.mjs';

const cache = path.join(projectDir, 'node_modules/.cache/jest-packages');
const SOURCES = ['apps', 'examples', 'libs', 'test'].map((folder) => `${folder}/**/*.ts`);
/** Jest's own, and our own. */
const LEFT_ALONE = /^@(jest|app)\//;

/** @satisfies {import('esbuild').BuildOptions} */
const options = {
  absWorkingDir: projectDir,
  bundle: true,
  platform: /** @type {const} */ ('node'),
  target: 'node20',
  logLevel: /** @type {const} */ ('error'),
};

/** @returns {Promise<Record<string, string>>} for `moduleNameMapper`: where each package is that our code imports */
export async function bundledPackages() {
  const names = await importedPackages();
  const folder = path.join(cache, keyOf(names));
  if (!existsSync(folder)) await bundle(names, folder);
  return Object.fromEntries(names.map((name) => [`^${name}$`, path.join(folder, fileOf(name))]));
}

/** @param {string} name */
const fileOf = (name) => `${name.replaceAll('/', '+')}.cjs`;

/** @returns {Promise<string[]>} such as `pg` and `pg/lib/utils.js` */
async function importedPackages() {
  const names = new Set();
  await build({
    ...options,
    entryPoints: SOURCES,
    format: 'esm',
    write: false,
    outdir: cache,
    plugins: [
      {
        name: 'imported packages',
        setup: ({ onResolve }) =>
          onResolve({ filter: /^/ }, ({ kind, path: name }) => {
            if (kind === 'entry-point') return undefined;
            if (/^[^./]/.test(name) && !isBuiltin(name) && !LEFT_ALONE.test(name)) names.add(name);
            return { path: name, external: true };
          }),
      },
    ],
  });
  return [...names].sort();
}

/** @param {string[]} names */
function keyOf(names) {
  const hash = createHash('sha256').update(names.join());
  for (const file of [import.meta.filename, path.join(projectDir, 'node_modules/.package-lock.json')])
    hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

/**
 * @param {string[]} names
 * @param {string} folder that exists once everything is in it
 */
async function bundle(names, folder) {
  rmSync(cache, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  const unfinished = mkdtempSync(`${folder}-`);
  for (const [index, group] of (await groupsOf(names)).entries()) {
    const file = `${index}.cjs`;
    await build({ ...entryFor(group), outfile: path.join(unfinished, file) });
    for (const name of group) {
      const shim = `module.exports = require('./${file}')[${JSON.stringify(name)}]();\n`;
      writeFileSync(path.join(unfinished, fileOf(name)), shim);
    }
  }
  renameSync(unfinished, folder);
}

/**
 * What has a module in common must be in one bundle: a module that is there twice has two classes of each name, and two states.
 * All the rest is apart, so that no test loads what it does not need.
 * @param {string[]} names
 */
async function groupsOf(names) {
  const { metafile } = await build({ ...entryFor(names), write: false, metafile: true });
  const { inputs } = metafile;
  /** @type {{ names: string[], files: Set<string> }[]} */
  let groups = [];
  for (const { original = '', path: start } of inputs['<stdin>']?.imports ?? []) {
    const files = new Set([start]);
    for (const file of files)
      for (const { path: next } of inputs[file]?.imports ?? []) if (inputs[next]) files.add(next);
    const related = groups.filter((group) => [...files].some((file) => group.files.has(file)));
    const joined = {
      names: [original, ...related.flatMap((group) => group.names)],
      files: new Set([...files, ...related.flatMap((group) => [...group.files])]),
    };
    groups = [...groups.filter((group) => !related.includes(group)), joined];
  }
  return groups.map((group) => group.names);
}

/** Exports a function for each package, which loads it. @param {string[]} names @returns {import('esbuild').BuildOptions} */
const entryFor = (names) => ({
  ...options,
  stdin: {
    contents: names.map((name) => `exports['${name}'] = () => require('${name}');`).join('\n'),
    resolveDir: projectDir,
  },
  format: 'cjs',
  keepNames: true,
  plugins: [oneWay],
  banner: { js: "const fileUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'fileUrl' },
});

/**
 * A package that has one entry for `import` and another one for `require` must not be loaded twice. What is not installed is
 * missed when it is needed.
 * @type {import('esbuild').Plugin}
 */
const oneWay = {
  name: 'one way to packages',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path: name, pluginData, ...place }) => {
      if (pluginData === oneWay) return undefined; // our own question, below
      for (const kind of /** @type {const} */ (['require-call', 'import-statement'])) {
        const { errors, ...found } = await resolve(name, { ...place, kind, pluginData: oneWay });
        if (errors.length === 0) return found;
      }
      return { path: name, external: true };
    });
  },
};
