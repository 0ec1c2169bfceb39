import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import { Logger } from '@nestjs/common';
import { EPOCH, startOperations, type OperationsFixture } from '../operations/operations.fixture.js';
import type { Publisher } from '../rabbitmq/publisher.js';
import { Books } from './books.js';
import { Holds } from './holds.js';
import type { Statements } from './one-at-a-time.js';
import {
  BOOKS_REQUEST,
  CHUNK_REQUEST,
  type BooksAnswer,
  type BooksPage,
  type BooksRequest,
  type ChunkRequest,
} from './protocol.js';

Logger.overrideLogger(process.env.TEST_LOG_LEVEL ? ['log', 'warn', 'error'] : false);

const SOURCE = '/users';
const AGGREGATE = 'users.user';

describe('The books of a subscriber', () => {
  let fixture: OperationsFixture;
  let pool: Pool;
  let books: Books;
  let asked: { type: string; body: BooksRequest | ChunkRequest }[];
  /** What it says to owners is written down; the test answers in their place. */
  const publisher = {
    status: { state: 'connected' },
    publish: (_exchange: string, _key: string, body: Buffer, { type }: { type: string }) => {
      asked.push({ type, body: JSON.parse(body.toString()) as BooksRequest });
      return Promise.resolve('routed');
    },
  } as unknown as Publisher;

  beforeAll(async () => {
    fixture = await startOperations();
    pool = new Pool({ connectionString: fixture.url, max: 4 });
  });
  afterAll(async () => {
    await pool?.end();
    await fixture?.stop();
  });
  beforeEach(async () => {
    await fixture.rows(`truncate messaging.inbox_pages, messaging.inbox_books, messaging.inbox_gaps, messaging.inbox_holds,
                        messaging.inbox_sources, messaging.parked_events`);
    asked = [];
    books = start();
  });

  const options = { inbox: 'orders', queue: 'orders.inbox', aggregates: [AGGREGATE], intervalMs: 15_000 };
  const start = () => new Books(options, pool, publisher, new Holds('orders', pool));
  /** A page of a thousand positions. */
  const page = (number: number): BooksPage => ({
    page: number,
    recorded: 10,
    first: number * 1_000,
    last: number * 1_000 + 999,
  });
  const answer = async (pages: number[], more: Partial<BooksAnswer> & { after?: number } = {}) => {
    const { after = 0, ...rest } = more;
    const last = pages.at(-1) ?? after;
    const group = { aggregate: AGGREGATE, epoch: EPOCH, after, pages: pages.map(page), complete: true };
    const settled = last + 10; // so that none of the pages is a recent one
    books.take({ answer: { source: SOURCE, epoch: EPOCH, settled, published: last, groups: [group], ...rest } });
    await books.settled();
  };
  const reach = async (reached: number) => {
    const { after, upTo } = pulls().at(-1)!;
    const chunkEnd = { source: SOURCE, epoch: EPOCH, aggregate: AGGREGATE, after, upTo, reached };
    books.take({ chunkEnd });
    await books.settled();
  };
  const pulls = () => asked.filter(({ type }) => type === CHUNK_REQUEST).map(({ body }) => body as ChunkRequest);
  const lastId = () => (asked.findLast(({ type }) => type === BOOKS_REQUEST)!.body as BooksRequest).id!;
  const gaps = () =>
    fixture.rows<{ page: number; pulls: number; due: number }>(
      `select page::int as page, pulls, extract(epoch from due_at - now())::float8 as due
       from messaging.inbox_gaps order by page`,
    );
  const inVain = (from: number, to: number, dueIn = 0) =>
    fixture.rows(
      `update messaging.inbox_gaps set pulls = 4, due_at = now() + make_interval(secs => $3) where page between $1 and $2`,
      ...[from, to, dueIn],
    );

  it('a pull that is broken off by a new connection is made again at once, and does not count', async () => {
    await answer([1, 2]);
    expect(pulls()).toMatchObject([{ after: 999, upTo: 2_999 }]);
    expect(await gaps()).toMatchObject([{ pulls: 0 }, { pulls: 0 }]);
    expect((await gaps())[0]!.due).toBeGreaterThan(20); // other processes leave it alone meanwhile
    books.reset();
    await answer([], { after: 2 });
    expect(pulls()).toHaveLength(2);
    expect(pulls()[1]).toEqual(pulls()[0]);
  });

  it('what came by an earlier connection starts no pull', async () => {
    const answered = answer([1, 2]);
    books.reset();
    await answered;
    expect(pulls()).toEqual([]);
    await answer([1, 2]);
    expect(pulls()).toHaveLength(1);
  });

  it('a pull that nobody answers is made again within a minute, however often it was made in vain', async () => {
    await answer([1]);
    await fixture.rows('update messaging.inbox_gaps set pulls = 8');
    const clock = jest.spyOn(performance, 'now');
    for (let hour = 1; hour < 6; hour++) {
      clock.mockReturnValue(performance.now() + 3_600_000);
      await books.look();
      await books.settled();
    }
    clock.mockRestore();
    expect(pulls()).toHaveLength(5);
    const [gap] = await gaps();
    expect(gap).toMatchObject({ pulls: 9 });
    expect(gap!.due).toBeLessThan(61);
  });

  it('a pull counts when all of it has come', async () => {
    await answer([1, 2, 3, 4, 5, 6]);
    await reach(5_999);
    expect(pulls()).toMatchObject([
      { after: 999, upTo: 6_999 },
      { after: 5_999, upTo: 6_999 },
    ]);
    expect((await gaps()).map((gap) => gap.pulls)).toEqual([0, 0, 0, 0, 0, 0]);
    await reach(6_999);
    expect((await gaps()).map((gap) => gap.pulls)).toEqual([1, 1, 1, 1, 1, 1]);
    expect((await gaps())[0]!.due).toBeGreaterThan(10);
  });

  it('a chunk that is late is asked for again as soon as an answer has overtaken it', async () => {
    const start = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(start);
    await answer([1]);
    clock.mockReturnValue(start + 13_000);
    await books.look(true);
    await books.settled();
    expect(pulls()).toHaveLength(2);
    clock.mockReturnValue(start + 23_000);
    await answer([], { after: 1, id: '00000000-0000-7000-8000-000000000000' });
    await books.look(true);
    await books.settled();
    expect(pulls()).toHaveLength(2); // by itself only 15 s after the last time, or later
    await answer([], { after: 1, id: lastId() });
    clock.mockRestore();
    expect(pulls()).toHaveLength(3);
  });

  it('the end of a chunk that another pull has asked for does not end this one', async () => {
    await answer([6]);
    const { upTo } = pulls()[0]!;
    await reach(upTo);
    await answer([1], { after: 0 });
    await fixture.rows('truncate messaging.inbox_books, messaging.inbox_gaps');
    books = start();
    await answer([1, 2]);
    books.take({ chunkEnd: { source: SOURCE, epoch: EPOCH, aggregate: AGGREGATE, after: 5_999, upTo, reached: upTo } });
    await books.settled();
    expect((await gaps()).map((gap) => gap.pulls)).toEqual([0, 0]);
  });

  it('what is stuck is pulled behind everything else, a chunk at a time', async () => {
    await answer([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    books = start();
    await inVain(1, 8);
    await fixture.rows('update messaging.inbox_gaps set due_at = now()');
    await answer([], { after: 9 });
    expect(pulls().at(-1)).toMatchObject({ after: 8_999, upTo: 9_999 });
    await fixture.rows('delete from messaging.inbox_gaps where page = 9');
    books = start();
    await answer([], { after: 9 });
    expect(pulls().at(-1)).toMatchObject({ after: 999, upTo: 5_999 });
  });

  it('what is stuck is pulled as soon as its owner can send it', async () => {
    await answer([1], { unpublishable: [1_005, 7_000] });
    await reach(1_999);
    await inVain(1, 1, 3_600);
    const last = { after: 1, unpublishable: [1_005, 7_000] };
    await answer([], last);
    expect(pulls()).toHaveLength(1);
    await answer([], { ...last, unpublishable: [1_005, 7_000, 8_000] });
    expect(pulls()).toHaveLength(1);
    // It is released, and not published yet.
    await answer([], { ...last, unpublishable: [7_000, 8_000], published: 0 });
    expect(pulls()).toHaveLength(1);
    await answer([], { ...last, unpublishable: [7_000, 8_000] });
    expect(pulls()).toHaveLength(2);
  });

  it('gaps in whose pages very much is parked are looked at a few at a time', async () => {
    await answer([1]);
    const limits: unknown[] = [];
    const slow: Statements = {
      query: (sql, values) => {
        if (!sql.includes('closed as (')) return pool.query(sql, values);
        limits.push(values[2]);
        if (Number(values[2]) < 10) return pool.query(sql, values);
        return Promise.reject(
          Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' }),
        );
      },
    };
    await fixture.rows('update messaging.inbox_gaps set due_at = now()');
    books = new Books(options, slow, publisher, new Holds('orders', pool));
    await answer([], { after: 1 });
    expect(limits).toEqual([500, 50, 5]);
    expect(pulls()).toHaveLength(2);
  });

  it('a comparison that fails is no trouble for what comes behind it', async () => {
    const blocker = await pool.connect();
    await blocker.query('begin; lock table messaging.inbox_books');
    const impatient = new Pool({ connectionString: fixture.url, max: 1, statement_timeout: 200 });
    books = new Books(options, impatient, publisher, new Holds('orders', impatient));
    await answer([1]);
    expect(pulls()).toEqual([]);
    await blocker.query('rollback');
    blocker.release();
    await answer([1]);
    expect(pulls()).toHaveLength(1);
    await impatient.end();
  });

  it('a hold that is found while others are read is kept', async () => {
    const epoch = randomUUID();
    let goOn = () => {};
    const delayed = new Promise<void>((resolve) => (goOn = resolve));
    const query = async (sql: string, values: unknown[]) => {
      const result = await pool.query(sql, values);
      if (sql.startsWith('select')) await delayed;
      return result;
    };
    const holds = new Holds('orders', { query } as unknown as Pool);
    const read = holds.refresh();
    await holds.hold(SOURCE, epoch, 'a fork');
    goOn();
    await read;
    expect(holds.reasonFor(SOURCE, epoch)).toBe('a fork');
  });
});
