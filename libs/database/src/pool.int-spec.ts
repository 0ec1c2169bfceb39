import { connect, createServer, type Server, type Socket } from 'node:net';
import { createTestDatabase, type TestDatabase } from '@app/testing';
import type { Pool } from 'pg';
import { isDatabaseUnavailable } from './errors.js';
import { closePool, openPool } from './pool.js';

describe('a pool with a time-out', () => {
  let database: TestDatabase;
  let proxy: Server;
  let pool: Pool;
  let isSilent = false;

  beforeAll(async () => {
    database = await createTestDatabase('pool', () => Promise.resolve());
    const { hostname, port } = new URL(database.url);
    proxy = createServer((client: Socket) => {
      const server = connect(Number(port), hostname);
      for (const socket of [client, server]) socket.on('error', () => {});
      client.pipe(server);
      server.on('data', (data) => void (isSilent || client.write(data)));
      server.on('close', () => client.destroy());
      client.on('close', () => server.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const url = new URL(database.url);
    url.hostname = '127.0.0.1';
    url.port = String((proxy.address() as { port: number }).port);
    pool = openPool({ connectionString: url.href, max: 1, query_timeout: 400 });
  });
  afterAll(async () => {
    if (pool) await closePool(pool);
    proxy?.close();
    await database?.drop();
  });
  afterEach(() => (isSilent = false));

  it('cuts a connection that owes an answer and is silent, and makes another', async () => {
    await pool.query('select 1');
    isSilent = true;
    const error: unknown = await pool.query('select 2').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ message: 'Query read timeout: silent for 400 ms' });
    expect(isDatabaseUnavailable(error)).toBe(true);
    isSilent = false;
    expect((await pool.query('select 3 as three')).rows).toEqual([{ three: 3 }]);
  });

  it('leaves one alone that goes on talking, however long it takes', async () => {
    const client = await pool.connect();
    const said: string[] = [];
    client.on('notice', ({ message }) => said.push(message ?? ''));
    const talk = `do $$ begin for i in 1..6 loop perform pg_sleep(0.15); raise notice 'part %', i; end loop; end $$`;
    await expect(client.query(talk)).resolves.toBeDefined();
    expect(said).toHaveLength(6);
    client.release();
  });

  it('leaves one alone that owes nothing', async () => {
    const [before] = (await pool.query('select pg_backend_pid() as pid')).rows as { pid: number }[];
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect((await pool.query('select pg_backend_pid() as pid')).rows).toEqual([before]);
  });
});
