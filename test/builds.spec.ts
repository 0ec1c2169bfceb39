// `nest build` follows imports; tools/start/compile.mjs compiles folders.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { services as benchmark } from '../bench/harness/build.mjs';
import { foldersOf, sourcesIn } from '../tools/start/build.mjs';
import { examples, services } from '../tools/start/services.mjs';
import { services as faultSuite } from './faults/harness/build.mjs';

const root = path.resolve(import.meta.dirname, '..');
const built = [...services.filter(({ entry }) => !entry), ...examples, faultSuite, benchmark];

it.each(built.map((service) => [service.name, service] as const))(
  '%s imports nothing that is not compiled',
  (_, one) => {
    const compiled = new Set(foldersOf(one).flatMap(sourcesIn));
    const missing = [...compiled].flatMap((file) => {
      const text = readFileSync(path.join(root, file), 'utf8');
      const imports = [...text.matchAll(/(?:\bfrom|\bimport\(?)\s*'(\.[^']+)\.js'/g)];
      return imports
        .map(([, relative]) => `${path.join(path.dirname(file), relative!)}.ts`)
        .filter((target) => !compiled.has(target))
        .map((target) => `${file}: ${target}`);
    });
    expect(missing).toEqual([]);
    expect(compiled.size).toBeGreaterThan(100);
  },
);
