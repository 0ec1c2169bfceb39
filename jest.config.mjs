import { availableParallelism } from 'node:os';
import { bundledPackages } from './tools/jest/packages.mjs';
import { typescript } from './tools/typescript.mjs';

const rootDir = import.meta.dirname;

// Jest on Node < 24.9 cannot require() ES modules. So tests run as CommonJS: swc makes it of our TypeScript, and the bundles of
// the packages are made of it. Production runs as ESM; test/ starts the real build.
const packages = await bundledPackages();

/** @param {import('@swc/core').JscConfig} jsc */
const swc = (jsc) => ['@swc/jest', { swcrc: false, sourceMaps: 'inline', module: { type: 'commonjs' }, jsc }];

const base = {
  rootDir,
  testEnvironment: 'node',
  transform: {
    '\\.ts$': swc(typescript),
    '\\.m?js$': swc({ target: typescript.target, parser: { syntax: 'ecmascript' } }),
  },
  moduleNameMapper: {
    ...packages,
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
