import { createTestDatabase, eventually, type TestDatabase } from '@app/testing';
import { Pool } from 'pg';
import { Database } from './database.js';
import { isDatabaseUnavailable, isUniqueViolation } from './errors.js';
import { GroupCommit } from './group-commit.js';
import { closePool, openPool } from './pool.js';

describe('Commands that only write, many at a time', () => {
  let server: TestDatabase;
  let database: Database;
  let outside: Pool;
  let lane: Pool;
  let groups: GroupCommit;
  beforeAll(async () => {
    server = await createTestDatabase('pets_to_group', async (url) => {
      const pool = new Pool({ connectionString: url });
      await pool.query('create table pets (id integer primary key, name text not null)');
      await pool.end();
    });
    outside = new Pool({ connectionString: server.url, max: 4 });
  });
  afterAll(async () => {
    await outside?.end();
    await server?.drop();
  });
  beforeEach(async () => {
    database = new Database({ url: server.url, applicationName: 'grouped', poolSize: 4 });
    lane = openPool({ connectionString: server.url, max: 1, application_name: 'grouped' });
    groups = new GroupCommit(lane, lane, 10_000);
    await outside.query(`truncate pets; insert into pets values (1, 'Rex'), (2, 'Tom')`);
  });
  afterEach(() => Promise.all([database.close(), closePool(lane)]));

  /** In groups, however slow this machine is. */
  const commit = (text: string) => groups.commit([{ text, values: [], name: undefined, settle: () => {} }]);
  const committed = jest.fn();
  const write = (text: string, ...values: unknown[]) =>
    database.transaction((tx) => {
      tx.queryLater(text, values);
      tx.afterCommit(() => void committed(values[0]));
      return Promise.resolve();
    });
  const add = (id: number) => write('insert into pets values ($1, $2)', id, `pet ${id}`);
  const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 3);
  const rows = async (sql: string) => (await outside.query<{ n: number }>(sql)).rows[0]!.n;
  const pets = () => rows('select count(*)::integer as n from pets');

  it('are committed in few transactions', async () => {
    await Promise.all(upTo(100).map((id) => commit(`insert into pets values (${id}, 'one of many')`)));
    expect(await pets()).toBe(102);
    expect(await rows('select count(distinct xmin::text)::integer as n from pets where id > 2')).toBeLessThan(20);
  });

  it('fail alone', async () => {
    committed.mockClear();
    const results = await Promise.allSettled([...upTo(40), 20, 30].map(add));
    const failed = results.filter((result) => result.status === 'rejected');
    expect(failed.map(({ reason }) => isUniqueViolation(reason))).toEqual([true, true]);
    expect(await pets()).toBe(42);
    expect(committed.mock.calls.flat().sort((a, b) => a - b)).toEqual(upTo(40));
  });

  it('are told what their own statements gave, also if one of them fails', async () => {
    const told = new Map<number, number>();
    const adds = [...upTo(40), 20].map((id) => {
      const sql = 'insert into pets values ($1, $2) returning id';
      return database.transaction((tx) => {
        let given: number | undefined;
        tx.queryLater<{ id: number }>(sql, [id, 'told'], undefined, ({ rows }) => (given = rows[0]!.id));
        tx.afterCommit(() => told.set(id, given!));
        return Promise.resolve();
      });
    });
    await Promise.allSettled(adds);
    expect([...told].sort(([a], [b]) => a - b)).toEqual(upTo(40).map((id) => [id, id]));
  });

  it('keep several statements of one command together', async () => {
    const both = (id: number) =>
      database.transaction((tx) => {
        tx.queryLater('insert into pets values ($1, $2)', [id, 'first']);
        tx.queryLater('insert into pets values ($1, $2)', [id + 1, 'second']);
        return Promise.resolve();
      });
    // Neighbours want the same row: of each pair one has both of its rows, or none.
    await Promise.allSettled(upTo(30).map(both));
    const halves = `select count(*)::integer as n from pets a where name = 'first'
                    and not exists (select from pets b where b.id = a.id + 1 and b.name = 'second')`;
    expect(await rows(halves)).toBe(0);
  });

  it('do not wait for one that waits for a lock', async () => {
    const locker = await outside.connect();
    await locker.query('begin; select from pets where id = 1 for update');
    let isDone = false;
    const waits = write('update pets set name = $1 where id = 1', 'Rexi').then(() => (isDone = true));
    await Promise.all(upTo(20).map(add));
    expect([isDone, await pets()]).toEqual([false, 22]);
    await locker.query('commit');
    locker.release();
    await waits;
    expect(await rows(`select count(*)::integer as n from pets where name = 'Rexi'`)).toBe(1);
  });

  it('do not wait for one that is slow', async () => {
    let isDone = false;
    const slow = write('select pg_sleep(3)').then(() => (isDone = true));
    await Promise.all(upTo(20).map(add));
    expect(isDone).toBe(false);
    await slow;
    await Promise.all([50, 51, 52].map(add));
    expect(await pets()).toBe(25);
  });

  it('are done by themselves if the server has no connection for groups', async () => {
    const user = `crowded_${process.pid}`;
    await outside.query(`create role ${user} login password 'secret' connection limit 1; grant all on pets to ${user}`);
    const url = Object.assign(new URL(server.url), { username: user, password: 'secret' }).toString();
    const [full, pool] = [openPool({ connectionString: url, max: 1 }), openPool({ connectionString: url, max: 1 })];
    try {
      await pool.query('select 1');
      const crowded = new GroupCommit(full, pool, 10_000);
      const insert = (id: number) => ({
        text: `insert into pets values (${id}, 'crowded')`,
        values: [],
        name: undefined,
      });
      await Promise.all(upTo(5).map((id) => crowded.commit([{ ...insert(id), settle: () => {} }])));
      expect(await pets()).toBe(7);
    } finally {
      await Promise.all([closePool(full), closePool(pool)]);
      await outside.query(`drop owned by ${user}; drop role ${user}`);
    }
  });

  it('are told when the connection was lost under them, and are not done twice', async () => {
    const one = commit('select 1'); // the others wait for it and form a group
    const slow = commit('select pg_sleep(5)');
    const lost = Promise.allSettled([slow, ...upTo(5).map((id) => commit(`insert into pets values (${id}, 'lost')`))]);
    await one;
    const sleepers = `from pg_stat_activity where application_name = 'grouped' and wait_event = 'PgSleep'`;
    await eventually(async () => expect(await rows(`select count(*)::integer as n ${sleepers}`)).toBe(1));
    await outside.query(`select pg_terminate_backend(pid) ${sleepers}`);
    const reasons = (await lost).map((result) => result.status === 'rejected' && isDatabaseUnavailable(result.reason));
    expect(reasons).toEqual(Array(6).fill(true));
    expect(await pets()).toBe(2);
    await commit(`insert into pets values (3, 'new connection')`);
    expect(await pets()).toBe(3);
  });
});
