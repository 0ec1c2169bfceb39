// How swc compiles our TypeScript for tests and for `npm start`: as tsconfig.json tells `nest build`, without checking types.

/** @type {import('@swc/core').JscConfig} */
export const typescript = {
  target: 'es2023',
  parser: { syntax: 'typescript', decorators: true },
  transform: {
    legacyDecorator: true,
    decoratorMetadata: true,
    useDefineForClassFields: false,
    verbatimModuleSyntax: true,
  },
  keepClassNames: true,
};
