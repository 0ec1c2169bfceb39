import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { dataDir } from '../infrastructure/outside.mjs';

const file = path.join(dataDir, 'addresses.json');

/**
 * Tells `npm run events` where everything is, for as long as this process runs.
 * @param {NodeJS.ProcessEnv} env of the services
 */
export function tellWhereEverythingIs(env) {
  const addresses = Object.entries(env).filter(([name]) => /_DATABASE_URL(_FILE)?$|^RABBITMQ_URL(_FILE)?$/.test(name));
  const text = JSON.stringify({ pid: process.pid, env: Object.fromEntries(addresses) });
  writeFileSync(file, text, { mode: 0o600 }); // it holds passwords
  process.once('exit', () => rmSync(file, { force: true }));
}
