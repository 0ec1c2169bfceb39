// The services of the suite, built as the apps are.
import { build, isBuilt } from '../../../tools/start/build.mjs';
import { bundleOf } from '../../../tools/start/services.mjs';

export const services = { name: 'faults', folder: 'test/faults/services', output: 'dist/faults' };

/** The program, once it is built. */
export const PROGRAM = bundleOf(services);

export async function buildServices() {
  if (!isBuilt(services)) await build(services);
}
