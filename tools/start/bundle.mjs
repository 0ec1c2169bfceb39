// node tools/start/bundle.mjs <main.js> <bundle.js>: makes one file of a built service, its libraries and its packages. They are
// some two thousand small modules, and loading them takes 1.6 s of CPU; loading the bundle takes 0.4 s. What happens is the same.
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const [main = '', outfile = ''] = process.argv.slice(2);
const folder = path.dirname(main);
const module = (await readdir(folder)).find((file) => file.endsWith('.module.js'));
const warmUp = path.join(import.meta.dirname, 'warm-up.mjs');

/** Nest looks for packages that only some of its options need: what is not installed is missed when it runs, as before. @type {import('esbuild').Plugin} */
const missingPackages = {
  name: 'missing packages',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path: name, pluginData, ...place }) => {
      if (pluginData === missingPackages) return undefined; // our own question, below
      const { errors, ...found } = await resolve(name, { ...place, pluginData: missingPackages });
      return errors.length === 0 ? found : { path: name, external: true };
    });
  },
};

/** Stack traces name the file of a package, without the line: the whole map would take longer to read than the packages. @type {import('esbuild').Plugin} */
const shortMaps = {
  name: 'short maps for packages',
  setup({ onLoad }) {
    onLoad({ filter: /\/node_modules\/.*\.[cm]?js$/ }, async ({ path: file }) => {
      const map = JSON.stringify({ version: 3, sources: [path.basename(file)], mappings: 'AAAA' });
      const code = await readFile(file, 'utf8');
      return { contents: `${code}\n//# sourceMappingURL=data:application/json;base64,${btoa(map)}`, loader: 'js' };
    });
  },
};

const { outputFiles } = await build({
  stdin: {
    contents: `
      import 'reflect-metadata';
      ${module ? `import './${module}';` : ''}
      import { untilServersAreThere } from ${JSON.stringify(warmUp)};
      await untilServersAreThere();
      await import('./${path.basename(main)}');`,
    resolveDir: folder,
  },
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  keepNames: true, // of classes: providers, handlers and tables have them
  sourcemap: true,
  sourcesContent: false,
  external: ['pino'], // starts threads with files of its own
  plugins: [missingPackages, shortMaps],
  banner: {
    js: "import { createRequire as toRequire } from 'node:module'; const require = toRequire(import.meta.url);",
  },
  logLevel: 'error',
  write: false,
});

/** What esbuild calls for every function to keep its name, which is lost only where two have the same. */
const KEEP_NAME = 'var __name = (target, value) => __defProp(target, "name", { value, configurable: true });';
const KEEP_LOST_NAME = KEEP_NAME.replace('=> ', '=> target.name === value ? target : ');

await mkdir(path.dirname(outfile), { recursive: true });
for (const { path: file, text } of outputFiles) {
  if (file.endsWith('.js') && !text.includes(KEEP_NAME))
    throw new Error('esbuild keeps names in another way than it did');
  await writeFile(file, text.replace(KEEP_NAME, KEEP_LOST_NAME));
}
