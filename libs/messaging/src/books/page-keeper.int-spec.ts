import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import { Pool, type PoolClient } from 'pg';
import { startOperations, type OperationsFixture } from '../operations/operations.fixture.js';
import { settlePages } from './page-keeper.js';

describe('settlePages', () => {
  let fixture: OperationsFixture;
  let pool: Pool;
  const clients: PoolClient[] = [];
  beforeEach(async () => {
    fixture = await startOperations();
    pool = new Pool({ connectionString: fixture.url, max: 4 });
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.release(true);
    await pool.end();
    await fixture.stop();
  });

  const record = (count: number, aggregate = 'users.user', db: Pick<PoolClient, 'query'> = pool) =>
    db.query(
      `insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
       select gen_random_uuid(), $2 || '.changed.v1', epoch, $2, $3, n, p.last_value, 'c', '{}'
       from messaging.log, messaging.page p, generate_series(1, $1::int) n`,
      [count, aggregate, randomUUID()],
    );
  const open = async (): Promise<PoolClient> => {
    const client = await pool.connect();
    clients.push(client);
    await client.query('begin');
    return client;
  };
  const pages = async () =>
    (
      await fixture.rows<{ page: number; aggregate: string; recorded: number }>(
        'select page::int as page, aggregate, recorded::int as recorded from messaging.pages order by page, aggregate',
      )
    ).map(({ page, aggregate, recorded }) => `${page} ${aggregate} ${recorded}`);
  const settle = () => settlePages(pool);

  it('closes nothing while nothing is recorded', async () => {
    expect([await settle(), await settle(), await settle()]).toEqual([0, 0, 0]);
    expect(await pages()).toEqual([]);
  });

  it('counts each page by aggregate, once', async () => {
    await record(3);
    await record(2, 'users.team');
    expect(await settle()).toBe(1);
    await record(4);
    expect(await settle()).toBe(2);
    expect(await settle()).toBe(2);
    expect(await pages()).toEqual(['1 users.team 2', '1 users.user 3', '2 users.user 4']);
  });

  it('does not read the log to see whether the open page is used, whatever Postgres expects', async () => {
    const scans = async () => {
      await pool.query('select pg_stat_force_next_flush()');
      const sql = `select seq_scan::int as scans from pg_stat_user_tables where relid = 'messaging.events'::regclass`;
      return (await fixture.rows<{ scans: number }>(sql))[0]!.scans;
    };
    await record(5_000);
    await settle();
    await fixture.rows('analyze messaging.events'); // all of it lies on one page
    const before = await scans();
    expect(await settle()).toBe(1);
    expect(await scans()).toBe(before);
  });

  it('waits for a transaction that was open when the page was closed, and counts what it records', async () => {
    await record(1);
    const late = await open();
    await record(5, 'users.user', late); // carries the number of the open page
    let settled = false;
    const settling = settle().finally(() => (settled = true));
    await eventually(async () =>
      expect(await fixture.rows('select from messaging.page where last_value = 2')).toHaveLength(1),
    );
    await record(2); // goes to the next page, and is not waited for
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(settled).toBe(false);
    await late.query('commit');
    expect(await settling).toBe(1);
    expect(await pages()).toEqual(['1 users.user 6']);
  });

  it('settles each page once, also if several processes do it at the same moment', async () => {
    for (let round = 1; round <= 5; round++) {
      await record(10);
      await Promise.all([settle(), settle(), settle()]);
    }
    await settle();
    const counts = (await pages()).map((page) => Number(page.split(' ')[2]));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(50);
  });
});
