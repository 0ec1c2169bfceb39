// The subscriber's half of the books: compares, page by page, what the owner recorded with what was applied or parked
// here, and pulls what is missing. A first start, a deleted queue, a wiped broker, a restored database are all the same:
// pages that do not balance. Keeps nothing that a crash could lose: the next look finds the same pages.
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { namesOf, ownerOf, REPLAY_REQUESTS } from '../options.js';
import { replayed } from '../operations/metrics.js';
import type { Publisher } from '../rabbitmq/publisher.js';
import type { Holds } from './holds.js';
import { compare, fold, type Balance } from './ledger.js';
import {
  BOOKS_REQUEST,
  CHUNK_REQUEST,
  CONTROL_CONTENT_TYPE,
  type BooksAnswer,
  type BooksRequest,
  type ChunkEnd,
  type ChunkRequest,
} from './protocol.js';

/** The newest pages may still be on the way (redelivery after a reconnect): they are pulled at the second look. */
const RECENT_PAGES = 3;
/** While more than this many positions are still to come, live events that are ahead are not parked: the log has them. */
const CHUNK_POSITIONS = 5_000;
/** A chunk that does not come within this time is asked for again, later and later. */
const CHUNK_TIMEOUT_MS = 10_000;

interface Pull {
  owner: string;
  request: ChunkRequest;
  deadline: number;
  attempts: number;
}

export interface BooksOptions {
  inbox: string;
  queue: string;
  aggregates: readonly string[];
  intervalMs: number;
}

export class Books {
  readonly #logger = new Logger('Books');
  /** One pull at a time for each aggregate of each epoch. */
  readonly #pulls = new Map<string, Pull>();
  readonly #suspects = new Set<string>();
  /** The page that was pulled last, per aggregate. */
  readonly #tried = new Map<string, { page: number; attempts: number; notBefore: number }>();
  #unbalanced = new Map<string, number>();
  #replayed = 0;

  constructor(
    private readonly options: BooksOptions,
    private readonly pool: Pool,
    private readonly publisher: Publisher,
    private readonly holds: Holds,
  ) {}

  /** For operators: pages that do not balance, by source, and positions pulled so far. */
  get status() {
    return { unbalanced: this.#unbalanced, replayed: this.#replayed, pulls: [...this.#pulls.keys()] };
  }

  /** Whether events of this log that are ahead may be dropped, because replay will bring them anyway. */
  isCatchingUp(source: string, epoch: string, aggregate: string): boolean {
    const pull = this.#pulls.get(`${source} ${epoch} ${aggregate}`);
    return pull !== undefined && pull.request.upTo - pull.request.after > CHUNK_POSITIONS;
  }

  /** Asks every owner for its books, unless another process of this service has just done so. */
  async look(now = false): Promise<void> {
    this.#askAgain();
    const owners = groupBy(this.options.aggregates, (aggregate) => aggregate.slice(0, aggregate.indexOf('.')));
    for (const [owner, aggregates] of owners) if (await this.#isMyTurn(owner, now)) await this.#ask(owner, aggregates);
  }

  /** The owner's books have come. */
  async onAnswer(answer: BooksAnswer): Promise<void> {
    const { source } = answer;
    const mine = answer.pages.filter(({ aggregate }) => this.options.aggregates.includes(aggregate));
    const balances = await compare(this.pool, this.options.inbox, source, mine);
    const fork = balances.find(({ missing }) => missing < 0);
    const beyond = await this.#balancedBeyond(answer);
    if (fork) {
      await this.holds.hold(
        source,
        fork.epoch,
        `page ${fork.page} of ${fork.aggregate} holds ${-fork.missing} event(s) fewer than were applied: the log of ${source} was restored to an older state, or events were forged`,
      );
    } else if (beyond) {
      await this.holds.hold(
        source,
        beyond,
        `the log of ${source} ends before what was already balanced: it was restored to an older state`,
      );
    }
    let progress = false;
    for (const group of groups(balances)) if (await this.#settle(source, group, answer)) progress = true;
    const wrong = balances.filter(({ missing }) => missing !== 0);
    this.#unbalanced.set(source, wrong.length);
    if (!answer.more) await this.#closeUpTo(answer, wrong);
    if (answer.more && progress && this.#pulls.size === 0) await this.look(true);
  }

  /** A chunk has come and is applied. */
  async onChunk({ source, epoch, aggregate, reached }: ChunkEnd): Promise<void> {
    const key = `${source} ${epoch} ${aggregate}`;
    const pull = this.#pulls.get(key);
    if (!pull || reached <= pull.request.after) return; // a late answer to a request that was repeated
    this.#replayed += reached - pull.request.after;
    replayed.labels(source).inc(reached - pull.request.after);
    pull.request.after = reached;
    pull.attempts = 0;
    if (reached >= pull.request.upTo) {
      this.#pulls.delete(key);
      this.#logger.log(`caught up with ${aggregate} to position ${reached}`);
      await this.look(true);
    } else await this.#request(pull);
  }

  /** Folds what balances, pulls what is lost. @returns whether any page balanced */
  async #settle(source: string, pages: readonly Balance[], { settled }: BooksAnswer): Promise<boolean> {
    const { epoch, aggregate } = pages[0]!;
    const wrong = pages.findIndex(({ missing }) => missing !== 0);
    const balanced = wrong < 0 ? pages : pages.slice(0, wrong);
    if (balanced.length > 0) {
      await fold(this.pool, { inbox: this.options.inbox, source, epoch, aggregate }, balanced.at(-1)!.page);
    }
    const key = `${source} ${epoch} ${aggregate}`;
    if (wrong < 0) this.#tried.delete(key);
    if (wrong < 0 || this.#pulls.has(key) || this.holds.reasonFor(source, epoch)) return balanced.length > 0;
    const lost = pages.slice(wrong).filter((page) => page.missing > 0 && this.#isLost(key, page.page, settled));
    if (lost.length === 0 || !this.#mayPull(key, lost[0]!.page)) return balanced.length > 0;
    const run = adjacent(lost, pages);
    const owner = ownerOf(source);
    const request = { queue: this.options.queue, epoch, aggregate, after: run[0]!.first - 1, upTo: run.at(-1)!.last };
    const missing = run.reduce((sum, page) => sum + page.missing, 0);
    this.#logger.warn(
      `${missing} event(s) of ${aggregate} are missing in ${run.length} page(s); pulling them from the log of ${owner}`,
    );
    const pull = { owner, request, deadline: 0, attempts: 0 };
    this.#pulls.set(key, pull);
    await this.#request(pull);
    return balanced.length > 0;
  }

  /** A page that did not balance although it was pulled is pulled again later and later: its log may have a hole. */
  #mayPull(key: string, page: number): boolean {
    const before = this.#tried.get(key);
    const attempts = before?.page === page ? before.attempts : 0;
    if (attempts > 0 && Date.now() < before!.notBefore) return false;
    const wait = Math.min(300_000, this.options.intervalMs * 2 ** Math.min(attempts, 10));
    this.#tried.set(key, { page, attempts: attempts + 1, notBefore: Date.now() + wait });
    return true;
  }

  /** Nothing of the other aggregates is missing up to the last settled page, whether they have events in it or not. */
  async #closeUpTo({ source, settled }: BooksAnswer, wrong: readonly Balance[]): Promise<void> {
    await this.pool.query(
      `update messaging.inbox_books set balanced_page = $3
       where inbox = $1 and source = $2 and balanced_page < $3 and aggregate <> all($4)
         and epoch not in (select epoch from messaging.inbox_holds where inbox = $1 and source = $2)`,
      [this.options.inbox, source, settled, wrong.map(({ aggregate }) => aggregate)],
    );
  }

  /** Old pages at once, recent ones at the second look. */
  #isLost(key: string, page: number, settled: number): boolean {
    if (page <= settled - RECENT_PAGES) return true;
    const suspect = `${key} ${page}`;
    if (this.#suspects.delete(suspect)) return true;
    if (this.#suspects.size > 1_000) this.#suspects.clear();
    this.#suspects.add(suspect);
    return false;
  }

  /** The epoch whose balanced pages the owner does not have any more, if there is one. */
  async #balancedBeyond({ source, epoch, settled }: BooksAnswer): Promise<string | undefined> {
    const { rowCount } = await this.pool.query(
      'select from messaging.inbox_books where inbox = $1 and source = $2 and epoch = $3 and balanced_page > $4 limit 1',
      [this.options.inbox, source, epoch, settled],
    );
    return rowCount ? epoch : undefined;
  }

  #askAgain(): void {
    for (const pull of this.#pulls.values()) {
      if (Date.now() > pull.deadline) void this.#request(pull);
    }
  }

  async #request(pull: Pull): Promise<void> {
    const patience = CHUNK_TIMEOUT_MS * 2 ** Math.min(pull.attempts++, 5);
    pull.deadline = Date.now() + patience * (0.75 + Math.random() * 0.5);
    await this.#send(pull.owner, CHUNK_REQUEST, pull.request);
  }

  async #isMyTurn(owner: string, now: boolean): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `insert into messaging.inbox_sources as s (inbox, source, asked_at) values ($1, $2, now())
       on conflict (inbox, source) do update set asked_at = now()
       where s.asked_at < now() - make_interval(secs => $3)`,
      [this.options.inbox, namesOf(owner).source, now ? 0 : (this.options.intervalMs / 1000) * 0.7],
    );
    return rowCount === 1;
  }

  async #ask(owner: string, aggregates: readonly string[]): Promise<void> {
    const { rows } = await this.pool.query<{ aggregate: string; after: string }>(
      `select u.aggregate, coalesce(min(b.balanced_page), 0) as after from unnest($3::text[]) u (aggregate)
       left join messaging.inbox_books b on b.inbox = $1 and b.source = $2 and b.aggregate = u.aggregate
         and b.epoch not in (select epoch from messaging.inbox_holds where inbox = $1 and source = $2)
       group by u.aggregate`,
      [this.options.inbox, namesOf(owner).source, aggregates],
    );
    const request: BooksRequest = {
      queue: this.options.queue,
      aggregates: rows.map(({ aggregate, after }) => ({ aggregate, after: Number(after) })),
    };
    await this.#send(owner, BOOKS_REQUEST, request);
  }

  /** A request that is lost is made again at the next look. */
  async #send(owner: string, type: string, body: object): Promise<void> {
    const options = { messageId: uuidv7(), type, contentType: CONTROL_CONTENT_TYPE, expiration: 60_000 };
    try {
      await this.publisher.publish(REPLAY_REQUESTS, owner, Buffer.from(JSON.stringify(body)), options);
    } catch (error) {
      this.#logger.debug(`cannot ask ${owner}: ${(error as Error).message}`);
    }
  }
}

function groups(balances: readonly Balance[]): Balance[][] {
  return [...groupBy(balances, ({ epoch, aggregate }) => `${epoch} ${aggregate}`).values()];
}

/** The first of `lost` and those that follow it without a balanced page between: one range of the log. */
function adjacent(lost: readonly Balance[], pages: readonly Balance[]): Balance[] {
  const start = pages.indexOf(lost[0]!);
  const run: Balance[] = [];
  for (let i = start; i < pages.length && pages[i] === lost[run.length]; i++) run.push(pages[i]!);
  return run;
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const map = new Map<string, T[]>();
  for (const item of items) map.set(keyOf(item), [...(map.get(keyOf(item)) ?? []), item]);
  return map;
}
