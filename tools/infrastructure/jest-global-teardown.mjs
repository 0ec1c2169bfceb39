import { stopTestInfrastructure } from './for-tests.mjs';

/** The servers of a test run hold nothing worth keeping. */
export default async function teardown() {
  await stopTestInfrastructure();
}
