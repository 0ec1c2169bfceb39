// The subscriber's half of the books: compares, page by page, what the owner recorded with what was applied or parked
// here, and pulls what is missing. A first start, a deleted queue, a wiped broker, a restored database are all the same:
// pages that do not balance. Keeps nothing that a crash could lose: the next look finds the same pages.
import { isContention, newId } from '@app/database';
import { Logger } from '@nestjs/common';
import { namesOf, ownerOf, REPLAY_REQUESTS } from '../options.js';
import { replayed } from '../operations/metrics.js';
import { messageOf } from '../rabbitmq/explain.js';
import type { Publisher } from '../rabbitmq/publisher.js';
import type { Holds } from './holds.js';
import {
  claimGaps,
  closeGaps,
  fold,
  hurryStuck,
  PAGES_AT_A_TIME,
  postpone,
  progress,
  releaseGaps,
  takeAnswer,
  type Account,
  type Gap,
} from './ledger.js';
import type { Statements } from './one-at-a-time.js';
import {
  BOOKS_REQUEST,
  CHUNK_REQUEST,
  CONTROL_CONTENT_TYPE,
  type BooksAnswer,
  type BooksRequest,
  type ChunkEnd,
  type ChunkRequest,
} from './protocol.js';

/** The newest pages may still be on the way (redelivery after a reconnect): they are pulled one interval later. */
const RECENT_PAGES = 3;
/** Gaps looked at in one go; with more than that, no further pages are asked for until some are closed, or stuck. */
const GAPS = 500;
/** While more than this many positions are still to come, live events that are ahead are not parked: the log has them. */
const CHUNK_POSITIONS = 5_000;
/** A chunk that does not come within this time is asked for again, later and later. */
const CHUNK_TIMEOUT_MS = 10_000;
const MAX_REQUESTS = 5;
/** A pull that was given up is made again so soon at the latest: it has shown nothing about the log. */
const GIVEN_UP_S = 60;

interface Pull {
  account: Account;
  /** That it is to balance. */
  pages: number[];
  request: ChunkRequest;
  /** Of the request that was sent last. */
  id: string;
  sentAt: number;
  /** Its owner can send since what it could not when this was asked for. */
  isHurried: boolean;
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
  readonly #unbalanced = new Map<string, number>();
  /** What each owner could not send when it answered last. */
  readonly #unpublishable = new Map<string, number[]>();
  /** Pages of each owner that may hold what it can send since then. */
  readonly #released = new Map<string, { after: number; upTo: number }>();
  /** What is being done for each source, one thing after the other. */
  readonly #working = new Map<string, Promise<void>>();
  /** The latest answer of each that nobody has begun with. */
  readonly #answers = new Map<string, BooksAnswer>();
  /** How many pages are compared in one statement. */
  readonly #step = { pages: PAGES_AT_A_TIME };
  /** Of the connection; what was begun on an earlier one starts no pull. */
  #generation = 0;
  #replayed = 0;

  constructor(
    private readonly options: BooksOptions,
    private readonly pool: Statements,
    private readonly publisher: Publisher,
    private readonly holds: Holds,
  ) {}

  /** For operators: pages that do not balance, by source, and positions pulled so far. */
  get status() {
    return { unbalanced: this.#unbalanced, replayed: this.#replayed, pulls: [...this.#pulls.keys()] };
  }

  /** Whether events of this log that are ahead may be dropped, because replay will bring them anyway. */
  isCatchingUp(source: string, epoch: string, aggregate: string): boolean {
    if (this.#pulls.size === 0) return false; // asked for every event
    const pull = this.#pulls.get(`${source} ${epoch} ${aggregate}`);
    return pull !== undefined && pull.request.upTo - pull.request.after > CHUNK_POSITIONS;
  }

  /**
   * An answer or the end of a chunk has come, and what came before it is applied. It is dealt with beside the events that
   * follow, one after the other: what they add meanwhile balances pages, never the opposite. Never throws: what goes wrong is
   * asked for again.
   */
  take({ answer, chunkEnd }: { answer?: BooksAnswer; chunkEnd?: ChunkEnd }): void {
    const generation = this.#generation;
    if (chunkEnd) this.#then(chunkEnd.source, () => this.#onChunk(chunkEnd, generation));
    if (!answer) return;
    const isNext = this.#answers.has(answer.source);
    this.#answers.set(answer.source, answer);
    if (!isNext) this.#then(answer.source, () => this.#onLatestAnswer(answer.source, generation));
  }

  /** Resolves when what was taken is dealt with. */
  async settled(): Promise<void> {
    await Promise.all(this.#working.values());
  }

  /** A new connection: what is under way may be answered to another process. */
  reset(): void {
    const pulls = [...this.#pulls.values()];
    this.#generation++;
    this.#pulls.clear();
    this.#answers.clear();
    this.#unpublishable.clear();
    for (const { account, pages } of pulls) this.#then(account.source, () => releaseGaps(this.pool, account, pages));
  }

  #then(source: string, work: () => Promise<void>): void {
    const before = this.#working.get(source) ?? Promise.resolve();
    const after = before.then(work).catch((error: unknown) => {
      this.#logger.warn(`the books of ${source} are compared again soon: ${messageOf(error)}`);
    });
    this.#working.set(source, after);
  }

  /** Asks every owner for its books, unless another process of this service has just done so. */
  async look(now = false): Promise<void> {
    for (const owner of this.#owners) {
      const { source } = namesOf(owner);
      this.#then(source, () => this.#askAgain(source));
      if (await this.#isMyTurn(owner, now)) await this.#ask(owner);
    }
  }

  async #onLatestAnswer(source: string, generation: number): Promise<void> {
    const answer = this.#answers.get(source);
    if (!answer || generation !== this.#generation) return;
    this.#answers.delete(source);
    await this.#onAnswer(answer, generation);
  }

  /** The owner's books have come. */
  async #onAnswer(answer: BooksAnswer, generation: number): Promise<void> {
    const { inbox, intervalMs } = this.options;
    const { source, epoch: current, settled, published } = answer;
    let more = false;
    for (const { epoch, aggregate, after, pages, complete } of answer.groups) {
      if (!this.options.aggregates.includes(aggregate)) continue;
      if (epoch === current && after > settled) {
        await this.holds.hold(
          source,
          epoch,
          `the log of ${source} ends before what was compared here: it was restored to an older state`,
        );
      }
      if (this.holds.reasonFor(source, epoch)) continue;
      const upTo = complete ? published : pages.at(-1)!.page;
      const bounds = { upTo, recent: settled - RECENT_PAGES, patienceS: intervalMs / 1000 };
      try {
        const account = { inbox, source, epoch, aggregate };
        const taken = await takeAnswer(this.pool, account, { after, pages }, bounds, this.#step);
        if (taken && !complete) more = true;
      } catch (error) {
        if (!isContention(error)) throw error;
        this.#logger.warn(`${aggregate} of ${source} is compared again soon: ${messageOf(error)}`);
      }
    }
    await fold(this.pool, inbox, source);
    await this.#heed(answer);
    await this.#close(source, generation);
    if (more) await this.#ask(ownerOf(source));
  }

  /** What the answer tells besides the books: whether requests were lost, and what can be sent now that could not. */
  async #heed({ id, source, settled, published, unpublishable }: BooksAnswer): Promise<void> {
    // A chunk that was asked for before this answer is probably lost; of several processes, one may overtake another.
    for (const pull of this.#pulls.values()) {
      if (!id || pull.account.source !== source || pull.id > id) continue;
      pull.deadline = Math.min(pull.deadline, pull.sentAt + CHUNK_TIMEOUT_MS);
    }
    await this.#askAgain(source);
    if (!unpublishable) return; // an owner of an older version
    const before = this.#unpublishable.get(source);
    if (!before || before.some((position) => !unpublishable.includes(position))) {
      this.#released.set(source, { after: -1, upTo: settled });
      for (const pull of this.#pulls.values()) pull.isHurried ||= pull.account.source === source;
    }
    this.#unpublishable.set(source, unpublishable);
    const released = this.#released.get(source);
    if (!released) return;
    // What was released goes through the outbox at first, like everything else.
    await hurryStuck(this.pool, { inbox: this.options.inbox, source }, { after: released.after, upTo: published });
    released.after = Math.max(released.after, published);
    if (published >= released.upTo) this.#released.delete(source);
  }

  /** A chunk has come and is applied. */
  async #onChunk({ source, epoch, aggregate, after, reached }: ChunkEnd, generation: number): Promise<void> {
    const key = `${source} ${epoch} ${aggregate}`;
    const pull = this.#pulls.get(key);
    // A late answer to a request that was repeated, perhaps by another pull.
    if (!pull || after > pull.request.after || reached <= pull.request.after) return;
    this.#replayed += reached - pull.request.after;
    replayed.labels(source).inc(reached - pull.request.after);
    pull.request.after = reached;
    pull.attempts = 0;
    if (reached < pull.request.upTo) {
      await this.#request(pull);
      return;
    }
    this.#logger.log(`caught up with ${aggregate} to position ${reached}`);
    await this.#end(key, pull);
    await this.#close(source, generation);
    await this.#ask(ownerOf(source));
  }

  /** What is missing now although it was pulled is pulled again later. */
  async #end(key: string, { account, pages, isHurried }: Pull, atMostS?: number): Promise<void> {
    this.#pulls.delete(key);
    if (isHurried) return releaseGaps(this.pool, account, pages);
    await postpone(this.pool, account, pages, this.options.intervalMs / 1000, atMostS);
  }

  get #owners(): Set<string> {
    return new Set(this.options.aggregates.map((aggregate) => aggregate.slice(0, aggregate.indexOf('.'))));
  }

  /** Closes the gaps that balance by now, pulls those that do not, holds a log that has fewer events than were applied. */
  async #close(source: string, generation: number): Promise<void> {
    const { inbox } = this.options;
    const gaps = await this.#closeGaps(source);
    await fold(this.pool, inbox, source);
    this.#unbalanced.set(source, gaps.length);
    for (const { epoch, aggregate, page, missing } of gaps) {
      if (missing >= 0) continue;
      await this.holds.hold(
        source,
        epoch,
        `page ${page} of ${aggregate} holds ${-missing} event(s) fewer than were applied: the log of ${source} was restored to an older state, or events were forged`,
      );
    }
    const due = gaps.filter((gap) => gap.due && gap.missing > 0 && !this.holds.reasonFor(source, gap.epoch));
    for (const group of groups(due)) if (generation === this.#generation) await this.#pull(source, group);
  }

  /** Fewer at a time, if so much is parked in their pages that all take longer than a statement may. */
  async #closeGaps(source: string): ReturnType<typeof closeGaps> {
    for (let limit = GAPS; ; limit = Math.ceil(limit / 10)) {
      try {
        return await closeGaps(this.pool, this.options.inbox, source, limit);
      } catch (error) {
        if (!isContention(error) || limit === 1) throw error;
      }
    }
  }

  /** Pulls the first stretch of `gaps`, unless a pull of this log is under way. */
  async #pull(source: string, gaps: readonly Gap[]): Promise<void> {
    const { epoch, aggregate } = gaps[0]!;
    const key = `${source} ${epoch} ${aggregate}`;
    if (this.#pulls.has(key)) return;
    const { inbox, queue } = this.options;
    const stretch = firstStretch(gaps);
    const request = { queue, epoch, aggregate, after: stretch[0]!.first - 1, upTo: stretch.at(-1)!.last };
    const missing = stretch.reduce((sum, gap) => sum + gap.missing, 0);
    this.#logger.warn(
      `${missing} event(s) of ${aggregate} are missing in ${stretch.length} page(s); pulling them from the log of ${ownerOf(source)}`,
    );
    const account = { inbox, source, epoch, aggregate };
    const pull = {
      account,
      pages: stretch.map(({ page }) => page),
      request,
      id: '',
      isHurried: false,
      sentAt: 0,
      deadline: 0,
      attempts: 0,
    };
    this.#pulls.set(key, pull);
    await this.#request(pull);
  }

  async #askAgain(source: string): Promise<void> {
    for (const [key, pull] of this.#pulls) {
      if (pull.account.source !== source || performance.now() < pull.deadline) continue;
      if (pull.attempts < MAX_REQUESTS) await this.#request(pull);
      else await this.#end(key, pull, GIVEN_UP_S);
    }
  }

  async #request(pull: Pull): Promise<void> {
    const patience = CHUNK_TIMEOUT_MS * 2 ** Math.min(pull.attempts++, 5);
    pull.sentAt = performance.now();
    pull.deadline = pull.sentAt + patience * (0.75 + Math.random() * 0.5);
    pull.id = this.#send(ownerOf(pull.account.source), CHUNK_REQUEST, pull.request);
    await claimGaps(this.pool, pull.account, pull.pages);
  }

  async #isMyTurn(owner: string, now: boolean): Promise<boolean> {
    const { rowCount } = await this.pool.query(
      `insert into messaging.inbox_sources as s (inbox, source, asked_at) values ($1, $2, now())
       on conflict (inbox, source) do update set asked_at = now()
       where s.asked_at < now() - make_interval(secs => $3) or s.asked_at > now() -- the clock was set back`,
      [this.options.inbox, namesOf(owner).source, now ? 0 : (this.options.intervalMs / 1000) * 0.7],
    );
    return rowCount === 1;
  }

  async #ask(owner: string): Promise<void> {
    const { inbox, queue } = this.options;
    const { source } = namesOf(owner);
    const { known, gaps } = await progress(this.pool, inbox, source);
    const all = this.options.aggregates.filter((aggregate) => aggregate.startsWith(`${owner}.`));
    const aggregates = gaps < GAPS ? all : []; // the answer is also the sign to look at the gaps
    const held = this.holds.epochsOf(source);
    const request: BooksRequest = {
      id: newId(),
      queue,
      aggregates,
      known: known.filter(({ epoch, aggregate }) => aggregates.includes(aggregate) && !held.includes(epoch)),
      held,
    };
    this.#send(owner, BOOKS_REQUEST, request);
  }

  /** Does not wait: a broker that is blocked must not stop the books. A request that is lost is made again. */
  #send(owner: string, type: string, body: object): string {
    const messageId = newId();
    if (this.publisher.status.state !== 'connected') return messageId;
    const options = { messageId, type, contentType: CONTROL_CONTENT_TYPE, expiration: 60_000 };
    this.publisher
      .publish(REPLAY_REQUESTS, owner, Buffer.from(JSON.stringify(body)), options)
      .catch((error: Error) => this.#logger.debug(`cannot ask ${owner}: ${error.message}`));
    return messageId;
  }
}

function groups(gaps: readonly Gap[]): Gap[][] {
  const map = new Map<string, Gap[]>();
  for (const gap of gaps) {
    const key = `${gap.epoch} ${gap.aggregate}`;
    map.set(key, [...(map.get(key) ?? []), gap]);
  }
  return [...map.values()];
}

/**
 * The first of `gaps` and those close behind it: one stretch of the log. What lies between is dropped by the gate. Of those that
 * are stuck only as many as fit into a chunk, and only if there are no others.
 */
function firstStretch(gaps: readonly Gap[]): Gap[] {
  const fresh = gaps.filter(({ stuck }) => !stuck);
  const from = fresh.length > 0 ? fresh : gaps;
  const isFar = (gap: Gap, index: number) =>
    gap.stuck ? gap.last - from[0]!.first >= CHUNK_POSITIONS : gap.first - from[index - 1]!.last > CHUNK_POSITIONS;
  const end = from.findIndex((gap, index) => index > 0 && isFar(gap, index));
  return end < 0 ? [...from] : from.slice(0, end);
}
