import js from '@eslint/js';
import boundaries from 'eslint-plugin-boundaries';
import prettier from 'eslint-config-prettier';
import globals from 'globals';
import tseslint from 'typescript-eslint';

const onlyIn = (/** @type {string} */ where) => `Only ${where} may use this package.`;

/** Of which there are a few. */
const onceInAProcess = ['inbox', 'inbox-server', 'awaited-event-bus'].map((name) => `libs/messaging/src/*/${name}.ts`);

export default tseslint.config(
  { ignores: ['dist/**', 'coverage/**', 'node_modules/**', '.data/**'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    // The boundaries of the architecture: app ↛ app, lib ↛ app, contracts → zod only, slice ↛ sibling slice, amqplib in messaging.
    files: ['{apps,examples,libs}/**/*.ts'],
    plugins: { boundaries },
    settings: {
      'import/resolver': { typescript: { project: './tsconfig.json' } },
      'boundaries/include': ['apps/**/*', 'examples/**/*', 'libs/**/*'],
      'boundaries/elements': [
        { type: 'slice', pattern: '{apps,examples}/*/src/*', capture: ['folder', 'app', 'slice'] },
        { type: 'app', pattern: '{apps,examples}/*', capture: ['folder', 'app'] },
        { type: 'lib', pattern: 'libs/*', capture: ['lib'] },
      ],
    },
    rules: {
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: [
            {
              from: { element: { type: ['app', 'slice'] } },
              allow: [
                { to: { element: { type: 'lib' } } },
                { to: { element: { type: 'app', captured: { app: '{{from.element.captured.app}}' } } } },
              ],
            },
            {
              from: { element: { type: 'app' } },
              allow: [{ to: { element: { type: 'slice', captured: { app: '{{from.element.captured.app}}' } } } }],
            },
            {
              from: { element: { type: 'slice' } },
              allow: [
                {
                  to: {
                    element: {
                      type: 'slice',
                      captured: { app: '{{from.element.captured.app}}', slice: '{{from.element.captured.slice}}' },
                    },
                  },
                },
              ],
            },
            { from: { element: { type: 'lib' } }, allow: [{ to: { element: { type: 'lib' } } }] },
          ],
        },
      ],
      'no-restricted-imports': ['error', { paths: [{ name: 'amqplib', message: onlyIn('libs/messaging') }] }],
    },
  },
  { files: ['libs/{messaging,testing}/**/*.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['libs/contracts/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^(?!zod$|\\.{1,2}/)', message: 'Contracts depend on zod and nothing else.' }] },
      ],
    },
  },
  {
    // Objects that are made for each transaction, batch or event: such a function would keep what they refer to (ADR 8).
    files: ['libs/database/src/*.ts', 'libs/messaging/src/{inbox,outbox}/*.ts'],
    ignores: ['**/*spec.ts', '**/*.fixture.ts', '**/*.module.ts', ...onceInAProcess],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...['PropertyDefinition[value', 'AssignmentExpression[left.type=MemberExpression][right'].map((selector) => ({
          selector: `${selector}.type=/^(ArrowFunction|Function)Expression$/]`,
          message: 'V8 takes it for long-lived: make it a method, or name it first (ADR 8).',
        })),
      ],
    },
  },
  {
    // Jest's matchers and parsed answers are `any`.
    files: ['**/*spec.ts', 'libs/testing/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
    },
  },
  {
    files: ['**/*.mjs'],
    ...tseslint.configs.disableTypeChecked,
    languageOptions: { globals: globals.node },
  },
  prettier,
);
