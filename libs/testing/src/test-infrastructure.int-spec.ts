import { execFile } from 'node:child_process';
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { findRabbitMq } from '../../../tools/infrastructure/rabbitmq-install.mjs';
import { startsQuickly } from '../../../tools/infrastructure/rabbitmq-modules.mjs';
import { createTestDatabase } from './test-database.js';
import { createTestVhost } from './test-vhost.js';
import { eventually } from './eventually.js';
import { startServers } from './test-servers.js';

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

describe('createTestDatabase', () => {
  it('migrates once and gives everybody a copy', async () => {
    let migrations = 0;
    const migrate = async (url: string) => {
      migrations += 1;
      await query(url, 'CREATE TABLE pets (name text); INSERT INTO pets VALUES ($$Rex$$)');
    };
    const databases = await Promise.all([1, 2, 3].map(() => createTestDatabase('pets', migrate)));
    expect(migrations).toBe(1);
    await query(databases[0]!.url, 'DELETE FROM pets');
    expect(await query(databases[1]!.url, 'SELECT * FROM pets')).toEqual([{ name: 'Rex' }]);
    for (const database of databases) await database.drop();
  });

  it('migrates anew after a migration that failed', async () => {
    const fails = () => Promise.reject(new Error('syntax error'));
    await expect(createTestDatabase('unlucky', fails)).rejects.toThrow('syntax error');
    const database = await createTestDatabase('unlucky', async (url) => void (await query(url, 'CREATE TABLE t ()')));
    await database.drop();
  });

  it('reports a connection that nobody closed', async () => {
    const database = await createTestDatabase('leaky', () => Promise.resolve());
    const client = new pg.Client({ connectionString: database.url, application_name: 'forgotten' });
    client.on('error', () => undefined);
    await client.connect();
    await expect(database.drop()).rejects.toThrow(/1 connections to leaky_\w+ were left open:\nforgotten/);
    await client.end();
  });

  it('runs on a server that keeps what it has committed', async () => {
    const database = await createTestDatabase('durable', () => Promise.resolve());
    expect(await query(database.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
    expect(await query(database.url, 'SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }]);
    await database.drop();
  });
});

describe('createTestVhost', () => {
  it('is empty, and its own', async () => {
    const [one, other] = await Promise.all([createTestVhost(), createTestVhost()]);
    await one.api('PUT', `queues/${one.name}/letters`, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await one.api('POST', `bindings/${one.name}/e/amq.topic/q/letters`, { routing_key: 'letter.#' });
    expect(await one.publish('amq.topic', 'letter.posted', 'hello', { type: 'greeting' })).toEqual({ routed: true });
    expect(await one.publish('amq.topic', 'parcel.posted', 'hello')).toEqual({ routed: false });
    await eventually(async () => expect(await one.queues()).toMatchObject([{ name: 'letters', messages: 1 }]));
    expect(await one.take('letters')).toMatchObject([{ payload: 'hello', properties: { type: 'greeting' } }]);
    expect(await one.bindings()).toMatchObject([{ source: 'amq.topic', routing_key: 'letter.#' }]);
    expect(await other.queues()).toEqual([]);
    await Promise.all([one.drop(), other.drop()]);
  });
});

describe('startServers', () => {
  it('gives a server that may be killed and started again', async () => {
    const servers = await startServers({ only: 'postgres' });
    try {
      await query(servers.postgresUrl, 'CREATE TABLE kept ()');
      await servers.kill('postgres');
      await expect(query(servers.postgresUrl, 'SELECT 1')).rejects.toThrow('ECONNREFUSED');
      await servers.start('postgres');
      expect(await query(servers.postgresUrl, 'SELECT * FROM kept')).toEqual([]);
    } finally {
      await servers.close();
    }
  });
});

it("loads RabbitMQ's modules before it starts, and leaves Erlang as it found it otherwise", async () => {
  const plugins = path.join(realpathSync(`${findRabbitMq()}/rabbitmq-env`), '../../plugins');
  const look = `Seen = [length(code:get_path()), code:is_loaded(rabbit_fifo) =/= false, code:is_loaded(ssl) =/= false],
    io:format("~w~n", [Seen ++ [os:getenv("ERL_AFLAGS"), application:get_key(rabbit, vsn)]]), halt().`;
  const run = async (env: NodeJS.ProcessEnv) => {
    const options = { env: { ...process.env, ERL_LIBS: plugins, ...env } };
    const { stdout } = await promisify(execFile)('erl', ['-noshell', '-eval', look], options);
    const [, folders, ...rest] = /^\[(\d+),(.*)\]$/.exec(stdout.trim()) ?? [];
    return { folders: Number(folders), rest: rest.join() };
  };
  const without = await run({});
  expect(without).toEqual({ folders: expect.any(Number) as number, rest: 'false,false,false,undefined' });
  expect(await run(startsQuickly)).toEqual({ ...without, rest: 'true,true,false,undefined' });
});
