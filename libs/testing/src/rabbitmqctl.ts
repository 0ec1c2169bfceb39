import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { variable } from './environment.js';

/**
 * Calls rabbitmqctl for the broker of this test run. All test files share it: name your vhost (`-p`), and start a broker of
 * your own (`startServers`) to stop or kill it.
 * @returns what it printed
 * @throws if it fails, with what it said
 */
export async function rabbitmqctl(args: string[]): Promise<string> {
  const { scripts, env } = JSON.parse(variable('TEST_RABBITMQ_CONTROL')) as {
    scripts: string;
    env: Record<string, string>;
  };
  const { stdout } = await promisify(execFile)(path.join(scripts, 'rabbitmqctl'), args, {
    env: { ...process.env, ...env },
    timeout: 30_000,
  });
  return stdout;
}
