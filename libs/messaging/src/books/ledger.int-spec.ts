import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { EPOCH, startOperations, type OperationsFixture } from '../operations/operations.fixture.js';
import { acceptSurplus, closeGaps, fold, hurryStuck, postpone, progress, takeAnswer } from './ledger.js';
import type { Statements } from './one-at-a-time.js';
import type { BooksPage } from './protocol.js';

const SOURCE = '/users';
const account = { inbox: 'orders', source: SOURCE, epoch: EPOCH, aggregate: 'users.user' };

describe('The account of a subscriber', () => {
  let fixture: OperationsFixture;
  let pool: Pool;
  beforeAll(async () => {
    fixture = await startOperations();
    pool = new Pool({ connectionString: fixture.url, max: 2 });
  });
  afterAll(async () => {
    await pool?.end();
    await fixture?.stop();
  });
  beforeEach(() =>
    fixture.rows(`truncate messaging.inbox_pages, messaging.inbox_books, messaging.inbox_gaps, messaging.parked_events,
                  messaging.inbox_streams`),
  );

  const page = (number: number, recorded = 10): BooksPage => ({
    page: number,
    recorded,
    first: (number - 1) * 10 + 1,
    last: number * 10,
  });
  const applied = (number: number, count = 10) =>
    fixture.rows(
      `insert into messaging.inbox_pages values ('orders', $1, $2, 'users.user', $3, $4)
       on conflict (inbox, source, epoch, aggregate, page) do update set applied = $4`,
      ...[SOURCE, EPOCH, number, count],
    );
  const take = (after: number, pages: BooksPage[], upTo = pages.at(-1)?.page ?? after) =>
    takeAnswer(pool, account, { after, pages }, { upTo, recent: upTo, patienceS: 15 });
  const gaps = async () =>
    (await closeGaps(pool, 'orders', SOURCE, 100)).map((gap) => [gap.page, gap.missing, gap.due] as const);
  const book = async () => {
    await fold(pool, 'orders', SOURCE);
    const [row] = await fixture.rows<{ balanced: number; folded: number; rows: number }>(
      `select balanced_page::int as balanced, folded::int as folded,
              (select count(*)::int from messaging.inbox_pages) as rows from messaging.inbox_books`,
    );
    return row;
  };

  it('folds pages that balance into one total', async () => {
    for (const number of [1, 2, 3]) await applied(number);
    expect(await take(0, [page(1), page(2), page(3)])).toBe(true);
    expect(await gaps()).toEqual([]);
    expect(await book()).toEqual({ balanced: 3, folded: 30, rows: 0 });
  });

  it('keeps what does not balance as a gap, and goes on behind it', async () => {
    await applied(1);
    await applied(2, 7);
    await applied(4);
    await take(0, [page(1), page(2), page(3), page(4)]);
    expect(await gaps()).toEqual([
      [2, 3, true],
      [3, 10, true],
    ]);
    expect(await book()).toEqual({ balanced: 4, folded: 20, rows: 1 });
  });

  it('closes a gap when what was missing has come', async () => {
    await applied(1, 7);
    await take(0, [page(1)]);
    expect(await gaps()).toEqual([[1, 3, true]]);
    await applied(1, 10);
    expect(await gaps()).toEqual([]);
    expect(await book()).toEqual({ balanced: 1, folded: 10, rows: 0 });
  });

  it('takes answers of any size', async () => {
    const pages = Array.from({ length: 120 }, (_, n) => page(n + 1));
    for (const number of [1, 26, 60, 120]) await applied(number);
    expect(await take(0, pages, 130)).toBe(true);
    expect((await progress(pool, 'orders', SOURCE)).gaps).toBe(116);
    expect(await book()).toEqual({ balanced: 130, folded: 40, rows: 0 });
    expect(await take(125, [page(126)])).toBe(false);
    const further = Array.from({ length: 60 }, (_, n) => page(n + 101));
    expect(await take(100, further)).toBe(true); // the first of them have been compared
    expect([(await progress(pool, 'orders', SOURCE)).gaps, await book()]).toMatchObject([146, { balanced: 160 }]);
  });

  it('compares fewer pages at a time where it takes too long, and more again where it does not', async () => {
    const sizes: number[] = [];
    const slow: Statements = {
      query: (sql, values) => {
        const size = (JSON.parse(values[6] as string) as BooksPage[]).length;
        sizes.push(size);
        if (size <= 7) return pool.query(sql, values);
        return Promise.reject(
          Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' }),
        );
      },
    };
    const pages = Array.from({ length: 20 }, (_, n) => page(n + 1));
    const step = { pages: 25 };
    const bounds = { upTo: 20, recent: 20, patienceS: 15 };
    expect(await takeAnswer(slow, account, { after: 0, pages }, bounds, step)).toBe(true);
    expect([(await progress(pool, 'orders', SOURCE)).gaps, await book()]).toMatchObject([20, { balanced: 20 }]);
    expect(sizes.slice(0, 4)).toEqual([20, 13, 7, 13]);
  });

  describe('of a log that its owner cannot send all of', () => {
    const inVain = async (pages: number[], times: number) => {
      for (let n = 0; n < times; n++) await postpone(pool, account, pages, 15);
    };
    const toPull = async () => (await progress(pool, 'orders', SOURCE)).gaps;
    const first = async (limit: number) => (await closeGaps(pool, 'orders', SOURCE, limit)).map((gap) => gap.page);

    it('what was pulled in vain for some minutes no longer holds up what lies behind it', async () => {
      await take(0, [page(1), page(2), page(3)]);
      expect(await toPull()).toBe(3);
      await inVain([1, 2], 3);
      expect([await toPull(), await first(3)]).toEqual([3, [1, 2, 3]]);
      await inVain([1, 2], 1);
      expect([await toPull(), await first(1), await first(3)]).toEqual([1, [3], [1, 2, 3]]);
    });

    it('stuck gaps take turns, are pulled ever more rarely, and at once when their owner can send them', async () => {
      await take(0, [page(1), page(2)]);
      await inVain([1], 5);
      await inVain([2], 4);
      expect([await first(1), await gaps()]).toEqual([
        [2],
        [
          [1, 10, false],
          [2, 10, false],
        ],
      ]);
      await hurryStuck(pool, account, { after: 0, upTo: 1 });
      expect(await gaps()).toEqual([
        [1, 10, true],
        [2, 10, false],
      ]);
      await applied(2);
      expect(await first(2)).toEqual([1]);
    });

    it('of a log that is held nothing is pulled, and nothing counts', async () => {
      await take(0, [page(1)]);
      await fixture.rows(`insert into messaging.inbox_holds values ('orders', $1, $2, 'a fork')`, SOURCE, EPOCH);
      expect([await toPull(), await gaps()]).toEqual([0, []]);
      await fixture.rows('truncate messaging.inbox_holds');
      expect([await toPull(), await gaps()]).toEqual([1, [[1, 10, true]]]);
    });
  });

  it('counts what is parked as arrived, and copies of what was applied not at all', async () => {
    const [waiting, done] = [randomUUID(), randomUUID()];
    await applied(7, 8);
    await fixture.parked({ subject: waiting, sequence: 2, page: 7 });
    await fixture.parked({ subject: done, sequence: 1, page: 7 });
    await fixture.gateAt(done, 1);
    await take(0, [page(7)]);
    expect(await gaps()).toEqual([[7, 1, true]]);
  });

  it('leaves new pages some time to arrive before they are pulled', async () => {
    await takeAnswer(pool, account, { after: 0, pages: [page(1), page(5)] }, { upTo: 5, recent: 2, patienceS: 15 });
    expect(await gaps()).toEqual([
      [1, 10, true],
      [5, 10, false],
    ]);
  });

  it('refuses an answer that leaves out pages which were not compared', async () => {
    await applied(1);
    await take(0, [page(1)]);
    expect(await take(5, [page(6)])).toBe(false);
    expect(await book()).toMatchObject({ balanced: 1 });
  });

  it('refuses an answer to a question of a former life of this database', async () => {
    expect(await take(5, [page(6)])).toBe(false);
    expect(await book()).toBeUndefined();
  });

  it('takes an answer that comes twice, or late, once', async () => {
    await applied(1);
    await applied(2);
    expect(await take(0, [page(1), page(2)])).toBe(true);
    expect(await take(0, [page(1), page(2)])).toBe(false);
    expect(await take(0, [page(1)])).toBe(false);
    expect(await gaps()).toEqual([]);
    expect(await book()).toEqual({ balanced: 2, folded: 20, rows: 0 });
  });

  it('sees when more was applied than the owner has; once accepted, it is not reported again', async () => {
    await applied(1, 12);
    await take(0, [page(1)]);
    expect(await gaps()).toEqual([[1, -2, true]]);
    await acceptSurplus(pool, account);
    expect(await gaps()).toEqual([]);
    expect(await book()).toEqual({ balanced: 1, folded: 12, rows: 0 });
  });
});
