import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { projectDir } from './environment.js';

type Server = 'rabbitmq' | 'postgres';

export interface TestServers {
  /** Without a vhost; undefined if only Postgres was started. */
  readonly rabbitmqUrl: string;
  /** With user and password. */
  readonly managementUrl: string;
  readonly postgresUrl: string;
  /** With SIGKILL. */
  kill(server: Server): Promise<void>;
  /** Starts a server again that was killed: same port, same data. */
  start(server: Server): Promise<void>;
  /** @returns what it printed */
  rabbitmqctl(args: string[]): Promise<string>;
  /** Ends the servers and removes their data. */
  close(): Promise<void>;
}

interface Answer {
  ok: boolean;
  error?: string;
  code?: number;
  stdout?: string;
  stderr?: string;
}

/**
 * A RabbitMQ and a Postgres of your own (some 5 s), for tests that kill servers; those of the test run are shared.
 * @param options.only starts just one of them
 */
export async function startServers({ only }: { only?: Server } = {}): Promise<TestServers> {
  const script = path.join(projectDir, 'tools/infrastructure/up.mjs');
  const args = [script, '--json', ...(only ? ['--only', only] : [])];
  const child = spawn(process.execPath, args, { detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const line: IteratorResult<string, undefined> = await lines.next();
    if (line.done) throw new Error(`the servers ended:\n${errors}`);
    return JSON.parse(line.value) as T;
  };
  const addresses = await next<Record<string, string>>();
  let queue: Promise<unknown> = Promise.resolve();
  const ask = (command: string): Promise<Answer> => {
    const answer = queue.then(async () => {
      child.stdin.write(`${command}\n`);
      const given = await next<Answer>();
      if (!given.ok || given.code) throw new Error(`${command}: ${given.error ?? given.stderr}`);
      return given;
    });
    queue = answer.catch(() => undefined);
    return answer;
  };
  return {
    rabbitmqUrl: addresses.RABBITMQ_URL ?? '',
    managementUrl: (addresses.RABBITMQ_MANAGEMENT_URL ?? '').replace('//', '//guest:guest@'),
    postgresUrl: addresses.POSTGRES_URL ?? '',
    kill: async (server) => void (await ask(`kill ${server}`)),
    start: async (server) => void (await ask(`start ${server}`)),
    rabbitmqctl: async (command) => (await ask(`rabbitmqctl ${command.join(' ')}`)).stdout ?? '',
    close: async () => {
      const end = new Promise((resolve) => child.once('close', resolve));
      child.stdin.end();
      await end;
    },
  };
}
