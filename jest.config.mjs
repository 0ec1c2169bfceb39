import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const rootDir = import.meta.dirname;

// Jest on Node < 24.9 cannot require() ES modules, and Nest 12 is ESM-only. So tests run as CommonJS: swc turns our
// TypeScript and every ESM-only dependency into CommonJS (cached). Production runs as ESM; test/ starts the real build.
/** @returns {string[]} */
function esmPackages(dir = path.join(rootDir, 'node_modules')) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith('.')) return [];
    const folder = path.join(dir, entry.name);
    if (entry.name.startsWith('@')) return esmPackages(folder);
    const manifest = path.join(folder, 'package.json');
    if (!existsSync(manifest)) return [];
    return JSON.parse(readFileSync(manifest, 'utf8')).type === 'module'
      ? [path.relative(path.join(rootDir, 'node_modules'), folder)]
      : [];
  });
}

/** @param {object} parser */
const swc = (parser) => [
  '@swc/jest',
  {
    swcrc: false,
    sourceMaps: 'inline',
    module: { type: 'commonjs' },
    jsc: {
      target: 'es2023',
      parser,
      transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
      keepClassNames: true,
    },
  },
];

const base = {
  rootDir,
  testEnvironment: 'node',
  transform: {
    '\\.ts$': swc({ syntax: 'typescript', decorators: true }),
    '\\.m?js$': swc({ syntax: 'ecmascript' }),
  },
  transformIgnorePatterns: [`/node_modules/(?!(?:.*/node_modules/)?(?:${esmPackages().join('|')})/)`],
  moduleNameMapper: {
    '^@app/([^/]+)$': '<rootDir>/libs/$1/src/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.data/'],
};

const withInfrastructure = {
  globalSetup: '<rootDir>/tools/infrastructure/jest-global-setup.mjs',
  globalTeardown: '<rootDir>/tools/infrastructure/jest-global-teardown.mjs',
};

/** @type {import('jest').Config} */
export default {
  // Longer than `eventually` waits, which tells what it waited for.
  testTimeout: 60_000,
  // The tests mostly wait for servers, so even two cores are worth two workers (Jest's default would be one).
  maxWorkers: Math.max(2, availableParallelism() - 1),
  projects: [
    { ...base, displayName: 'unit', testMatch: ['<rootDir>/{apps,libs,test,tools}/**/*.spec.ts'] },
    {
      ...base,
      ...withInfrastructure,
      displayName: 'integration',
      testMatch: ['<rootDir>/libs/**/*.int-spec.ts'],
    },
    { ...base, ...withInfrastructure, displayName: 'e2e', testMatch: ['<rootDir>/{apps,test}/**/*.e2e-spec.ts'] },
  ],
};
