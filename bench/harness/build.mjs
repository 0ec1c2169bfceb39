// The services of the benchmark, built as the apps are.
import { build, isBuilt } from '../../tools/start/build.mjs';
import { bundleOf } from '../../tools/start/services.mjs';

const services = { name: 'bench', folder: 'bench/services', output: 'dist/bench' };

/** The program, once it is built. */
export const PROGRAM = bundleOf(services);

export async function buildServices() {
  if (!isBuilt(services)) await build(services);
}
