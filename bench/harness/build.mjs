// The services of the benchmark, built as the apps are.
import { build, isBuilt } from '../../tools/start/build.mjs';
import { entryOf } from '../../tools/start/services.mjs';

export const services = {
  name: 'bench',
  folder: 'bench/services',
  also: ['apps/users/src', 'apps/orders/src'],
  output: 'dist/bench',
};

/** The program, once it is built: one file for each module, as in a container. */
export const PROGRAM = entryOf(services);

export async function buildServices() {
  if (!isBuilt(services)) await build(services);
}
