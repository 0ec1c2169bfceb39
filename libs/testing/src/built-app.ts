import path from 'node:path';
import { Client } from 'pg';
import { build, isBuilt } from '../../../tools/start/build.mjs';
import { bundleOf, examples, services } from '../../../tools/start/services.mjs';
import { projectDir, variable } from './environment.js';

/**
 * The program that `npm start` runs; builds it if its sources have changed. One test file builds, others wait.
 * @returns its path
 */
export async function builtApp(name: string): Promise<string> {
  const service = [...services, ...examples].find((candidate) => candidate.name === name);
  if (!service) throw new Error(`no service "${name}" in tools/start/services.mjs`);
  if (!isBuilt(service)) {
    const client = new Client({ connectionString: variable('TEST_POSTGRES_URL') });
    await client.connect();
    try {
      await client.query(`select pg_advisory_lock(hashtext('build'))`);
      if (!isBuilt(service)) await build(service);
    } finally {
      await client.end();
    }
  }
  return path.join(projectDir, bundleOf(service));
}
