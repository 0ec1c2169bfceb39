import { startTestInfrastructure } from './for-tests.mjs';

/** Jest calls this once for each project that has it; the servers are started once. */
export default async function setup() {
  await startTestInfrastructure();
}
