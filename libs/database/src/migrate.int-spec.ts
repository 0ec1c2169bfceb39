import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createTestDatabase, type TestDatabase } from '@app/testing';
import { Logger } from '@nestjs/common';
import { Pool } from 'pg';
import { isContention } from './errors.js';
import { migrate } from './migrate.js';

describe('migrate', () => {
  let server: TestDatabase;
  let pool: Pool;
  let folder: string;
  beforeEach(async () => {
    server = await createTestDatabase('nothing', () => Promise.resolve());
    pool = new Pool({ connectionString: server.url, max: 2 });
    folder = mkdtempSync(path.join(tmpdir(), 'migrations-'));
    file('001_pets', 'create table pets (id integer primary key)');
  });
  afterEach(async () => {
    await pool.end();
    await server.drop();
    rmSync(folder, { recursive: true });
    jest.restoreAllMocks();
  });

  const file = (name: string, text: string) => writeFileSync(path.join(folder, `${name}.sql`), text);
  const toLatest = () => migrate(server.url, [{ name: 'pets', folder }]);
  const columns = async () =>
    (
      await pool.query<{ name: string }>(`select column_name as name from information_schema.columns
       where table_name = 'pets' and table_schema = 'public' order by 1`)
    ).rows.map(({ name }) => name);

  it('applies each file once, in order, whoever starts at the same time', async () => {
    file('002_name', 'alter table pets add name text');
    await Promise.all([toLatest(), toLatest(), toLatest()]);
    await toLatest();
    expect(await columns()).toEqual(['id', 'name']);
  });

  it('names the file that failed, and keeps nothing of what was missing', async () => {
    file('002_name', 'alter table pets add name text; alter table nobody add name text');
    await expect(toLatest()).rejects.toThrow(`${folder}/002_name.sql failed`);
    expect(await columns()).toEqual([]);
  });

  it('leaves what a newer version has applied, so that an older one can be started again', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
    file('002_name', 'alter table pets add name text');
    await toLatest();
    rmSync(path.join(folder, '002_name.sql'));
    await toLatest();
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('002_name of a newer version'));
    file('002_name', 'alter table pets add name text');
    file('003_age', 'alter table pets add age integer');
    await toLatest();
    expect(await columns()).toEqual(['age', 'id', 'name']);
  });

  it('refuses a file that sorts before one that was applied', async () => {
    file('003_age', 'alter table pets add age integer');
    await toLatest();
    file('002_name', 'alter table pets add name text');
    await expect(toLatest()).rejects.toThrow(/corrupted migrations/);
  });

  it('does not stand in the way of others while somebody has a table locked', async () => {
    await toLatest();
    file('002_name', 'alter table pets add name text');
    const reader = await pool.connect();
    await reader.query('begin; lock table pets in access share mode');
    const started = performance.now();
    const failure = await toLatest().catch((error: Error) => error.cause);
    expect(isContention(failure)).toBe(true);
    expect(performance.now() - started).toBeLessThan(10_000);
    await reader.query('commit');
    reader.release();
    await toLatest();
    expect(await columns()).toEqual(['id', 'name']);
  });
});
