import { createTestDatabase, eventually, type TestDatabase } from '@app/testing';
import { Logger } from '@nestjs/common';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Pool } from 'pg';
import { Database, RolledBackError } from './database.js';
import { isAftermath, isUniqueViolation } from './errors.js';
import { isOfStatement, TransactionClosedError, type Transaction } from './transaction.js';

interface Tables {
  pets: { id: number; name: string };
}

describe('Database.transaction', () => {
  let server: TestDatabase;
  let database: Database<Tables>;
  let outside: Pool;
  beforeAll(async () => {
    server = await createTestDatabase('pets_only', async (url) => {
      const pool = new Pool({ connectionString: url });
      await pool.query('create table pets (id integer primary key, name text not null)');
      await pool.end();
    });
    database = new Database<Tables>({ url: server.url, applicationName: 'test', poolSize: 4 });
    outside = new Pool({ connectionString: server.url, max: 4 });
  });
  afterAll(async () => {
    await database?.close();
    await outside?.end();
    await server?.drop();
  });
  beforeEach(async () => {
    await outside.query(`truncate pets; insert into pets values (1, 'Rex'), (2, 'Tom')`);
  });

  const names = async () =>
    (await outside.query<{ name: string }>('select name from pets order by id')).rows.map(({ name }) => name);
  const rename = (tx: Transaction<Tables>, id: number, name: string) =>
    tx.updateTable('pets').set({ name }).where('id', '=', id).execute();
  const fail = (tx: Transaction<Tables>) => tx.query('select 1 / 0');

  it('keeps everything, and hands back the result', async () => {
    const result = await database.transaction(async (tx) => {
      await rename(tx, 1, 'Rexi');
      await tx.query('update pets set name = $1 where id = 2', ['Tomi']);
      return 'done';
    });
    expect(result).toBe('done');
    expect(await names()).toEqual(['Rexi', 'Tomi']);
  });

  it('keeps nothing if the work throws, and throws that', async () => {
    const error = new Error('changed my mind');
    const work = database.transaction(async (tx) => {
      await rename(tx, 1, 'Rexi');
      throw error;
    });
    await expect(work).rejects.toBe(error);
    expect(await names()).toEqual(['Rex', 'Tom']);
  });

  it('keeps nothing if a statement failed, even if the work caught the error', async () => {
    const work = database.transaction(async (tx) => {
      await rename(tx, 1, 'Rexi');
      await fail(tx).catch(() => {});
      return 'all is well';
    });
    await expect(work).rejects.toThrow('division by zero');
    expect(await names()).toEqual(['Rex', 'Tom']);
  });

  it('names the culprit, not the statements behind it', async () => {
    const work = database.transaction(async (tx) => {
      await fail(tx).catch(() => {});
      await rename(tx, 1, 'Rexi');
    });
    await expect(work).rejects.toThrow('division by zero');
  });

  it('believes Postgres: a COMMIT that is answered with ROLLBACK is an error', async () => {
    const work = database.transaction(async (tx) => {
      await rename(tx, 1, 'Rexi');
      void fail(tx).catch(() => {}); // nobody waits for it, so nobody knows of the failure when the work ends
      await nextTurn(); // it is on its way
    });
    await expect(work).rejects.toThrow(RolledBackError);
    expect(await names()).toEqual(['Rex', 'Tom']);
  });

  it('does not commit behind a failed statement that travels with COMMIT', async () => {
    const work = database.transaction(async (tx) => {
      await rename(tx, 1, 'Rexi');
      void fail(tx).catch(() => {});
    });
    await expect(work).rejects.toThrow('division by zero');
    expect(await names()).toEqual(['Rex', 'Tom']);
  });

  describe('statements that are started together', () => {
    it('are answered in their order, each with its own rows, however many they are', async () => {
      const numbers = Array.from({ length: 250 }, (_, n) => n);
      const answers = await database.transaction((tx) =>
        Promise.all(
          numbers.map(async (n) => {
            const { rows, rowCount } = await tx.query<{ n: number }>(
              'select $1::int as n from generate_series(1, $2::int)',
              [n, n % 3],
              n % 2 ? 'by-name' : undefined,
            );
            return { ns: rows.map((row) => row.n), rowCount };
          }),
        ),
      );
      expect(answers).toEqual(numbers.map((n) => ({ ns: Array(n % 3).fill(n), rowCount: n % 3 })));
    });

    it('are skipped behind one that fails, which alone is the culprit', async () => {
      const outcomes: PromiseSettledResult<unknown>[] = [];
      const work = database.transaction(async (tx) => {
        const first = tx.query(`update pets set name = 'Rexi' where id = 1`);
        const all = [first, fail(tx), rename(tx, 2, 'Tomi'), tx.query('select 1', [], 'skipped')];
        outcomes.push(...(await Promise.allSettled(all)));
      });
      await expect(work).rejects.toThrow('division by zero');
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
      for (const skipped of outcomes.slice(2))
        expect(isAftermath((skipped as PromiseRejectedResult).reason)).toBe(true);
      expect(await names()).toEqual(['Rex', 'Tom']);
    });

    it('leave no trace of a name that was never prepared', async () => {
      const one = new Database<Tables>({ url: server.url, applicationName: 'one', poolSize: 1 });
      const named = (tx: Transaction<Tables>) => tx.query<{ n: number }>('select 1 as n', [], 'prepared-late');
      await expect(one.transaction((tx) => Promise.all([fail(tx), named(tx)]))).rejects.toThrow('division by zero');
      expect((await one.transaction(named)).rows).toEqual([{ n: 1 }]);
      expect((await one.transaction(named)).rows).toEqual([{ n: 1 }]);
      await one.close();
    });

    it('fail one by one at a value that cannot be sent', async () => {
      const circular: { self?: unknown } = {};
      circular.self = circular;
      const work = database.transaction((tx) =>
        Promise.all([rename(tx, 1, 'Rexi'), tx.query('select $1::json', [circular])]),
      );
      await expect(work).rejects.toThrow(/circular/i);
      expect(await names()).toEqual(['Rex', 'Tom']);
    });
  });

  describe('queryLater', () => {
    const renameLater = (tx: Transaction<Tables>, name: string) =>
      tx.queryLater('update pets set name = $1 where id = 1', [name]);

    it('comes before whatever is started later, and before COMMIT', async () => {
      const seen = await database.transaction(async (tx) => {
        renameLater(tx, 'sooner');
        const row = await tx.selectFrom('pets').select('name').where('id', '=', 1).executeTakeFirstOrThrow();
        renameLater(tx, 'later');
        return row.name;
      });
      expect(seen).toBe('sooner');
      expect(await names()).toEqual(['later', 'Tom']);
    });

    it.each([true, false])(
      'tells what it gave before the transaction is known to be committed, alone: %s',
      async (alone) => {
        const told: string[] = [];
        await database.transaction(async (tx) => {
          tx.afterCommit(() => told.push('committed'));
          const sql = 'update pets set name = upper(name) where id = 1 returning name';
          tx.queryLater<{ name: string }>(sql, [], undefined, ({ rows }) => told.push(rows[0]!.name));
          if (!alone) await rename(tx, 2, 'Tomi');
        });
        expect(told).toEqual(['REX', 'committed']);
      },
    );

    it('fails the transaction if it fails, with its own error', async () => {
      const work = database.transaction(async (tx) => {
        await rename(tx, 2, 'Tomi');
        tx.queryLater('insert into pets values (1, $1)', ['twin']);
      });
      await expect(work).rejects.toThrow(/duplicate key/);
      expect(await names()).toEqual(['Rex', 'Tom']);
    });

    it('fails the work that has joined, with its own error', async () => {
      let heard: unknown;
      const work = database.transaction(async (tx) => {
        await database
          .transaction((joined) => {
            joined.executeLater(joined.insertInto('pets').values({ id: 1, name: 'twin' }));
            return Promise.resolve();
          })
          .catch((error: unknown) => (heard = error));
        await rename(tx, 2, 'Tomi').catch(() => {});
      });
      await expect(work).rejects.toThrow(/duplicate key/);
      expect(isUniqueViolation(heard)).toBe(true);
      expect(await names()).toEqual(['Rex', 'Tom']);
    });

    describe('alone, which Postgres commits without being asked to', () => {
      it('keeps everything or nothing', async () => {
        await database.transaction((tx) => {
          renameLater(tx, 'first');
          tx.queryLater('insert into pets values (3, $1)', ['new']);
          return Promise.resolve();
        });
        expect(await names()).toEqual(['first', 'Tom', 'new']);
        const work = database.transaction((tx) => {
          renameLater(tx, 'second');
          tx.queryLater('insert into pets values (3, $1)', ['twin']);
          tx.queryLater('insert into pets values (4, $1)', ['behind']);
          return Promise.resolve();
        });
        await expect(work).rejects.toThrow(/duplicate key/);
        expect(await names()).toEqual(['first', 'Tom', 'new']);
      });

      it('fails if Postgres refuses at the end, when every statement has succeeded', async () => {
        await outside.query('create table tags (pet integer references pets deferrable initially deferred)');
        const committed = jest.fn();
        const work = database.transaction((tx) => {
          tx.afterCommit(committed);
          renameLater(tx, 'tagged');
          tx.queryLater('insert into tags values ($1)', [77]);
          return Promise.resolve();
        });
        await expect(work).rejects.toThrow(/foreign key/);
        expect(committed).not.toHaveBeenCalled();
        expect(await names()).toEqual(['Rex', 'Tom']);
        await outside.query('drop table tags');
      });

      it('leaves a connection behind that others can use', async () => {
        const fails = () =>
          database.transaction((tx) => {
            tx.queryLater('insert into pets values (1, $1)', ['twin']);
            return Promise.resolve();
          });
        const results = await Promise.allSettled(Array.from({ length: 12 }, fails));
        expect(results.map(({ status }) => status)).toEqual(Array(12).fill('rejected'));
        await database.transaction((tx) => rename(tx, 2, 'Tomi'));
        expect(await names()).toEqual(['Rex', 'Tomi']);
      });

      it('takes BEGIN and COMMIT if it is too much for one answer', async () => {
        const work = database.transaction((tx) => {
          for (let id = 3; id < 203; id++) tx.queryLater('insert into pets values ($1, $2)', [id, 'many']);
          tx.queryLater('insert into pets values (1, $1)', ['twin']);
          return Promise.resolve();
        });
        await expect(work).rejects.toThrow(/duplicate key/);
        expect(await names()).toEqual(['Rex', 'Tom']);
      });
    });

    it('is never sent if the work throws', async () => {
      const work = database.transaction((tx) => {
        renameLater(tx, 'never');
        return Promise.reject(new Error('changed my mind'));
      });
      await expect(work).rejects.toThrow('changed my mind');
      expect(await names()).toEqual(['Rex', 'Tom']);
    });
  });

  it('ends in time if the database is silent', async () => {
    const impatient = new Database<Tables>({ url: server.url, applicationName: 'one', statementTimeoutMs: 200 });
    const work = impatient.transaction((tx) => Promise.all([tx.query('select pg_sleep(2)'), rename(tx, 1, 'Rexi')]));
    await expect(work).rejects.toThrow(/statement timeout/);
    await impatient.transaction((tx) => rename(tx, 2, 'Tomi'));
    expect(await names()).toEqual(['Rex', 'Tomi']);
    await impatient.close();
  });

  it.each([
    ['its query builder', (tx: Transaction<Tables>) => rename(tx, 1, 'late')],
    ['SQL', (tx: Transaction<Tables>) => tx.query(`update pets set name = 'late' where id = 1`)],
  ])('refuses a statement after its end, by %s: somebody forgot an await', async (_, late) => {
    let handle: Transaction<Tables> | undefined;
    await database.transaction((tx) => Promise.resolve((handle = tx)));
    await expect(late(handle!)).rejects.toThrow(TransactionClosedError);
    await expect(late(handle!)).rejects.toThrow(/await/);
    expect(await names()).toEqual(['Rex', 'Tom']);
  });

  it('refuses every statement if it gets no connection, also those that the work starts afterwards', async () => {
    const url = server.url.replace(/:\d+\//, ':1/');
    const away = new Database({ url, applicationName: 'away' });
    const work = away.transaction(async (tx) => {
      await tx.query('select 1').catch(() => {});
      await tx.query('select 2');
    });
    await expect(work).rejects.toThrow('ECONNREFUSED');
    await away.close();
  });

  it('knows the errors of its statements, also of those that it never sends', async () => {
    const started: Promise<unknown>[] = [];
    const work = database.transaction(async (tx) => {
      await Promise.resolve(started.push(fail(tx), rename(tx, 1, 'Rexi')));
      throw new Error('changed my mind');
    });
    await expect(work).rejects.toThrow('changed my mind');
    for (const { reason } of (await Promise.allSettled(started)) as PromiseRejectedResult[])
      expect([String(reason), isOfStatement(reason)]).toEqual([expect.any(String), true]);
    expect(isOfStatement(new Error('changed my mind'))).toBe(false);
  });

  it('is closed after a rollback, too', async () => {
    let handle: Transaction<Tables> | undefined;
    const work = database.transaction((tx) => {
      handle = tx;
      return Promise.reject(new Error('no'));
    });
    await expect(work).rejects.toThrow('no');
    await expect(rename(handle!, 1, 'late')).rejects.toThrow(TransactionClosedError);
  });

  it('runs again after a deadlock, which has a winner and a second attempt', async () => {
    let attempts = 0;
    const bothHaveOne = barrier(2);
    const swap = (first: number, second: number, name: string) =>
      database.transaction(async (tx) => {
        attempts++;
        await rename(tx, first, name);
        await bothHaveOne.pass();
        await rename(tx, second, name);
      });
    await Promise.all([swap(1, 2, 'A'), swap(2, 1, 'B')]);
    expect(attempts).toBe(3);
    expect(new Set(await names()).size).toBe(1);
  });

  it('gives up after three attempts', async () => {
    let attempts = 0;
    const work = database.transaction(async (tx) => {
      attempts++;
      await tx.query(`do $$ begin raise 'busy' using errcode = '40001'; end $$`);
    });
    await expect(work).rejects.toThrow('busy');
    expect(attempts).toBe(3);
  });

  it('does not run again after an ordinary error', async () => {
    let attempts = 0;
    const work = database.transaction((tx) => {
      attempts++;
      return fail(tx);
    });
    await expect(work).rejects.toThrow('division by zero');
    expect(attempts).toBe(1);
  });

  it('joins the transaction that is open, and dooms it if it fails, even if the outer one goes on', async () => {
    const work = database.transaction(async (tx) => {
      await rename(tx, 1, 'outer');
      const inner = database.transaction(async (joined) => {
        expect(joined).toBe(tx);
        await rename(joined, 2, 'inner');
        throw new Error('inner failure');
      });
      await inner.catch(() => {});
    });
    await expect(work).rejects.toThrow('inner failure');
    expect(await names()).toEqual(['Rex', 'Tom']);
  });

  it('joins it across awaits, and `tx` is the same', async () => {
    await database.transaction(async (tx) => {
      await Promise.resolve();
      await database.transaction((joined) => rename(joined, 2, 'inner'));
      expect(database.tx).toBe(tx);
      expect(await names()).toEqual(['Rex', 'Tom']); // not before the outer one commits
    });
    expect(await names()).toEqual(['Rex', 'inner']);
    expect(() => database.tx).toThrow(/No transaction is open/);
  });

  it('calls afterCommit after the commit only, and never after a rollback', async () => {
    const calls: string[][] = [];
    await database.transaction(async (tx) => {
      tx.afterCommit(() => calls.push(['committed']));
      await rename(tx, 1, 'Rexi');
      expect(calls).toEqual([]);
    });
    expect(calls).toEqual([['committed']]);
    const rolledBack = database.transaction(async (tx) => {
      tx.afterCommit(() => calls.push(['rolled back']));
      await fail(tx);
    });
    await expect(rolledBack).rejects.toThrow();
    expect(calls).toEqual([['committed']]);
  });

  it('has succeeded, even if what was to follow the commit fails', async () => {
    const calls: string[] = [];
    const told = jest.spyOn(Logger.prototype, 'error').mockImplementation(() => {});
    const result = await database.transaction(async (tx) => {
      tx.afterCommit(() => {
        throw new Error('too late to fail');
      });
      tx.afterCommit(() => calls.push('the next one'));
      await rename(tx, 1, 'Rexi');
      return 'done';
    });
    expect({ result, calls }).toEqual({ result: 'done', calls: ['the next one'] });
    expect(told).toHaveBeenCalledTimes(1);
    told.mockRestore();
    expect(await names()).toContain('Rexi');
  });

  it('gives its connection back, whatever happens', async () => {
    for (let i = 0; i < 10; i++) {
      await database.transaction(fail).catch(() => {});
      await database.transaction(() => Promise.reject(new Error('no'))).catch(() => {});
    }
    await database.transaction((tx) => rename(tx, 1, 'still works'));
    expect(await names()).toEqual(['still works', 'Tom']);
    await eventually(async () => {
      const { rows } = await outside.query<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity where application_name = 'test' and state like 'idle in transaction%'`,
      );
      expect(rows[0]!.n).toBe(0);
    });
  });

  it('survives that its connection is cut in the middle', async () => {
    const work = database.transaction(async (tx) => {
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      await outside.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      await rename(tx, 1, 'cut off');
    });
    await expect(work).rejects.toThrow();
    expect(await names()).toEqual(['Rex', 'Tom']);
    await database.transaction((tx) => rename(tx, 1, 'works again'));
  });
});

/** Lets everybody wait until `count` have come; later ones pass. */
function barrier(count: number) {
  let open = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return {
    pass: () => {
      if (--count <= 0) open();
      return opened;
    },
  };
}
