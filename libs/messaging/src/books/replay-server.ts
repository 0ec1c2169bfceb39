// The owner's answers: its books, and events that a subscriber misses, straight to the queue that asks.
// Keeps no state: a request that is lost or half answered is simply asked again.
import { closePool, connectionSettings, newId, openPool } from '@app/database';
import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { Pool } from 'pg';
import { BATCH_CONTENT_TYPE, encode, EVENT_CONTENT_TYPE, LOG_ROW, type LogRow } from '../cloud-event.js';
import { failpoint } from '../failpoints.js';
import { MESSAGING_OPTIONS, namesOf, type MessagingOptions } from '../options.js';
import { MAX_MESSAGE_BYTES, sizeLimitIn, wireBatches } from '../outbox/wire-batches.js';
import { atMost, pause } from '../rabbitmq/backoff.js';
import { BrokerLink, type LinkStatus } from '../rabbitmq/broker-link.js';
import { Publisher } from '../rabbitmq/publisher.js';
import { declareReplay } from '../rabbitmq/topology.js';
import { checkConsumers } from '../rabbitmq/watch.js';
import { settlePages } from './page-keeper.js';
import {
  BOOKS_ANSWER,
  BOOKS_REQUEST,
  booksRequest,
  CHUNK_END,
  CHUNK_REQUEST,
  chunkRequest,
  CONTROL_CONTENT_TYPE,
  type BooksAnswer,
  type BooksGroup,
  type BooksRequest,
  type ChunkEnd,
  type ChunkRequest,
} from './protocol.js';

/** Pages in one answer, of each aggregate and epoch. */
const PAGES = 500;
/** Positions looked at for one chunk: bounds its time and memory, whatever the aggregate's share is. */
const CHUNK_POSITIONS = 5_000;
/** Positions read at a time: commands of this process wait for as long as it takes to encode them, about 4 ms. */
const READ_POSITIONS = 100;
/** Counting a page may take this long: it holds many events if nobody closed it for a while. */
const COUNT_MS = 300_000;
/** How long nobody may be able to ask because somebody has removed what requests come through, or the broker has lost the consumer. */
const CHECK_MS = 8_000;
/** So long a limit of the broker is believed; then it may have been raised. */
const LIMIT_MS = 300_000;
/** An answer that is being given when the process is to end has this long. */
const FINISH_MS = 1_000;
export const BOOKS_INTERVAL_MS = 15_000;

// Streams with an event that the broker refuses are held: it would close this channel too.
const HELD = `
select held.epoch, held.aggregate, held.subject
from messaging.unpublishable join messaging.events held using (position)`;

// Only pages whose events the broker has confirmed are shown: what is missing of them behind the answer is lost for sure.
// Lateral, because a merge join would walk the log from its beginning.
const STATE = `
select l.epoch, l.settled_page as settled,
  array(select position::float8 from messaging.unpublishable order by position limit 1000) as unpublishable, (
  select e.page from messaging.outbox o
  cross join lateral (
    select page, epoch, aggregate, subject from messaging.events e where e.position = o.position offset 0) e
  where not exists (select from messaging.unpublishable)
     or (e.epoch, e.aggregate, e.subject) not in (${HELD})
  order by o.position limit 1) as unpublished
from messaging.log l`;

const BOOKS = `
select a.aggregate, e.epoch, coalesce(k.after, 0)::float8 as after,
       coalesce(json_agg(json_build_object('page', p.page, 'recorded', p.recorded, 'first', p.first_position,
                                           'last', p.last_position) order by p.page)
                filter (where p.page is not null), '[]') as pages,
       count(p.page) < ${PAGES} as complete
from unnest($1::text[]) a (aggregate)
cross join messaging.epochs e
left join json_to_recordset($2) as k (aggregate text, epoch uuid, after bigint)
  on k.aggregate = a.aggregate and k.epoch = e.epoch
left join lateral (
  select * from messaging.pages p where p.aggregate = a.aggregate and p.epoch = e.epoch
  and p.page > coalesce(k.after, 0) and p.page <= $4 order by p.page limit ${PAGES}) p on true
where e.epoch <> all($3::uuid[])
group by a.aggregate, e.epoch, k.after`;

// What lies in front of such an event can be sent. Looked up once, row by row: nothing is known of how few they are, and a join
// with the log might begin at the other end, with a stream of any length.
const CHUNK = `
with held as materialized (
  select h.epoch, h.aggregate, h.subject, min(h.sequence) as sequence
  from messaging.unpublishable u cross join lateral (
    select epoch, aggregate, subject, sequence from messaging.events e where e.position = u.position offset 0) h
  group by h.epoch, h.aggregate, h.subject)
select ${LOG_ROW}
from messaging.events e where position > $1 and position <= $2 and aggregate = $3 and epoch = $4
  and not exists (
    select from held h
    where h.epoch = e.epoch and h.aggregate = e.aggregate and h.subject = e.subject and h.sequence <= e.sequence)
order by position`;

@Injectable()
export class ReplayServer {
  readonly #logger = new Logger('Replay');
  readonly #stopping = new AbortController();
  readonly #pool: Pool;
  readonly #keeperPool: Pool;
  readonly #publisher: Publisher;
  readonly #link: BrokerLink;
  /** What the broker takes, if it has said so. */
  #limit = { bytes: Infinity, until: 0 };
  #serving: Promise<void> = Promise.resolve();
  #keeping: Promise<void> | undefined;
  #watching: Promise<void> | undefined;

  constructor(@Inject(MESSAGING_OPTIONS) private readonly options: MessagingOptions) {
    const { databaseUrl: url, service, rabbitmqUrls: urls } = options;
    const settings = connectionSettings({ url, applicationName: `${service} replay` });
    this.#pool = openPool({ ...settings, max: 2 });
    this.#keeperPool = openPool({
      ...settings,
      application_name: `${service} books keeper`,
      max: 1,
      statement_timeout: COUNT_MS,
      query_timeout: COUNT_MS + 1_000,
    });
    this.#publisher = new Publisher(urls, service, 'replay publisher');
    this.#link = new BrokerLink({
      urls,
      service,
      purpose: 'replay requests',
      open: (model) => model.createChannel(),
      setUp: (channel) => this.#consume(channel),
    });
  }

  /** Its connections; without them nobody learns what is missing. */
  get status(): LinkStatus {
    const links = [this.#link.status, this.#publisher.status];
    return links.find(({ state }) => state !== 'connected') ?? links[0]!;
  }

  start(): void {
    this.#publisher.link.start();
    this.#link.start();
    this.#keeping ??= this.#keepPages();
    this.#watching ??= this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#link.stop();
    const finished = Promise.all([this.#serving, this.#keeping, this.#watching]);
    await atMost(FINISH_MS, finished);
    await this.#publisher.link.stop(); // an answer that nobody confirms is given up, and asked for again
    await Promise.all([closePool(this.#pool), closePool(this.#keeperPool)]);
    await finished;
  }

  async #keepPages(): Promise<void> {
    const interval = this.options.booksIntervalMs ?? BOOKS_INTERVAL_MS;
    while (!this.#stopping.signal.aborted) {
      // Two processes may do this at once: only one of them settles, see the compare-and-set on settled_page.
      await pause(interval * (0.8 + Math.random() * 0.4), this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      try {
        await settlePages(this.#keeperPool, this.#stopping.signal);
      } catch (error) {
        this.#logger.warn(`the books are not up to date: ${(error as Error).message}`);
      }
    }
  }

  async #watch(): Promise<void> {
    const { service, booksIntervalMs = BOOKS_INTERVAL_MS } = this.options;
    const interval = Math.min(CHECK_MS, booksIntervalMs);
    while (!this.#stopping.signal.aborted) {
      await pause(interval * (0.8 + Math.random() * 0.4), this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      await checkConsumers(this.#link, (channel) => declareReplay(channel, service), this.#stopping.signal);
    }
  }

  async #consume(channel: Channel): Promise<void> {
    const { service } = this.options;
    await declareReplay(channel, service);
    await channel.prefetch(10);
    await channel.consume(namesOf(service).replayRequests, (message) => {
      if (!message) return this.#link.rebuild('the queue was deleted or moved');
      // One after the other: replay must not crowd out live traffic.
      this.#serving = this.#serving.then(() => this.#serve(channel, message));
    });
  }

  async #serve(channel: Channel, message: ConsumeMessage): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const { type } = message.properties as { type?: string };
    try {
      const body: unknown = JSON.parse(message.content.toString());
      if (type === BOOKS_REQUEST) await this.#showBooks(booksRequest.parse(body));
      else if (type === CHUNK_REQUEST) await this.#sendChunk(chunkRequest.parse(body));
      else this.#logger.warn(`a request of unknown type "${type}" is dropped`);
    } catch (error) {
      // Whoever asked asks again.
      this.#learnLimit(error);
      this.#logger.warn(
        `cannot answer ${type ? `a ${type}` : 'a request without a type'}: ${(error as Error).message}`,
      );
    }
    try {
      channel.ack(message);
    } catch {
      // The channel is gone; the request comes again or expires.
    }
  }

  async #showBooks(request: BooksRequest): Promise<void> {
    const { rows } = await this.#pool.query<{
      epoch: string;
      settled: string;
      unpublished: string | null;
      unpublishable: number[];
    }>(STATE);
    const { epoch, settled, unpublished, unpublishable } = rows[0]!;
    const published = Math.min(Number(settled), unpublished === null ? Infinity : Number(unpublished) - 1);
    const { rows: groups } = await this.#pool.query<BooksGroup>(BOOKS, [
      request.aggregates,
      JSON.stringify(request.known),
      request.held,
      published,
    ]);
    const { source } = namesOf(this.options.service);
    const { id } = request;
    const answer: BooksAnswer = {
      ...(id && { id }),
      source,
      epoch,
      settled: Number(settled),
      published,
      unpublishable,
      groups,
    };
    await this.#send(request.queue, BOOKS_ANSWER, fitting(answer, this.#maxBytes));
  }

  async #sendChunk({ queue, epoch, aggregate, after, upTo }: ChunkRequest): Promise<void> {
    const { source, replay } = namesOf(this.options.service);
    await failpoint('replay.beforeChunk');
    const reached = Math.min(upTo, after + CHUNK_POSITIONS);
    for (let from = after; from < reached; from += READ_POSITIONS) {
      const to = Math.min(reached, from + READ_POSITIONS);
      const { rows } = await this.#pool.query<LogRow>(CHUNK, [from, to, aggregate, epoch]);
      const sent = wireBatches(this.#sendable(rows, source), this.#maxBytes - 1).map((events) => {
        const one = events.length === 1;
        const body = one ? events[0]!.text : `[${events.map(({ text }) => text).join(',')}]`;
        return this.#publisher.publish(replay, queue, Buffer.from(body), {
          messageId: newId(),
          type: events[0]!.type,
          contentType: one ? EVENT_CONTENT_TYPE : BATCH_CONTENT_TYPE,
          appId: this.options.service,
          headers: { replay: true },
        });
      });
      if ((await Promise.all(sent)).includes('unroutable')) return; // nobody listens any more
    }
    const end: ChunkEnd = { source, epoch, aggregate, after, upTo, reached };
    await this.#send(queue, CHUNK_END, end);
  }

  get #maxBytes(): number {
    return Math.min(MAX_MESSAGE_BYTES, this.#knownLimit);
  }

  get #knownLimit(): number {
    return performance.now() < this.#limit.until ? this.#limit.bytes : Infinity;
  }

  #learnLimit(error: unknown): void {
    const bytes = sizeLimitIn(error);
    if (bytes) this.#limit = { bytes, until: performance.now() + LIMIT_MS };
  }

  /** All but what the broker would close the channel for, and everything else with it. */
  #sendable(rows: readonly LogRow[], source: string) {
    const events = rows.map((row) => {
      const text = encode(row, source);
      return { ...row, text, bytes: Buffer.byteLength(text) + 1 };
    });
    const limit = this.#knownLimit;
    return events.filter(({ bytes, type, subject, id }) => {
      if (bytes - 1 <= limit) return true;
      this.#logger.error(
        `${type} ${id} of "${subject}" cannot be sent again, its stream waits wherever it is missing: it has ${bytes - 1} bytes, RabbitMQ takes ${limit}. Raise max_message_size; then: npm run events -- replay`,
      );
      return false;
    });
  }

  async #send(queue: string, type: string, body: object): Promise<void> {
    await this.#publisher.publish(namesOf(this.options.service).replay, queue, Buffer.from(JSON.stringify(body)), {
      messageId: newId(),
      type,
      contentType: CONTROL_CONTENT_TYPE,
      appId: this.options.service,
    });
  }
}

/** With as many of the pages as fit into a message; the others are asked for next. */
function fitting(answer: BooksAnswer, maxBytes: number): BooksAnswer {
  for (let count = PAGES; count > 1 && Buffer.byteLength(JSON.stringify(answer)) > maxBytes;) {
    count = Math.ceil(count / 2);
    const groups = answer.groups.map((group) =>
      group.pages.length > count ? { ...group, pages: group.pages.slice(0, count), complete: false } : group,
    );
    answer = { ...answer, groups };
  }
  return answer;
}
