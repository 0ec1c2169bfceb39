// Takes parked events that are due and next in their stream, and applies them together with their successors.
// Found by state, never by notification alone, so that nothing is forgotten after a crash.
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import type { Holds } from '../books/holds.js';
import { asLogged, type Envelope, type LoggedAttributes } from '../cloud-event.js';
import { backOff, pause } from '../rabbitmq/backoff.js';
import type { Applier } from './applier.js';
import type { Failure, Item, ParkedState } from './item.js';
import { ParkedHeads, type HeadRow } from './parked-heads.js';

const POLL_MS = 250;
const IDLE_POLL_MS = 1_000;
/** Streams worked on at the same time. */
export const STREAMS = 4;
/** Events that only waited are applied together, like live ones; what was slow or has failed goes alone, with more time. */
const RUN = 20;
const RUN_LIMIT_MS = 2_000;
const LIMIT_MS = 30_000;
const REFRESH_MS = 2_000;
/** A claim that is not renewed for this long belongs to a process that died. Twice as long after each death: what kills
 * processes does it ever more rarely, and what only happened to be there when they were killed is not taken for the culprit. */
const CLAIM_SECONDS = 6;
const RENEW_MS = 2_000;
/** An event with which that many processes died is not tried again by itself. */
const MAX_CRASHES = 4;

interface ParkedRow {
  id: string;
  attempts: number;
  state: ParkedState;
  sequence: string | null;
  logged: boolean;
  body: string;
}

// Committed before the reaction runs: an event that kills the process has used up an attempt.
const CLAIM = `
update messaging.parked_events
set attempts = attempts + 1, claimed_at = clock_timestamp(), crashes = crashes + (claimed_at is not null)::integer,
    due_at = now() + make_interval(secs => $2 * power(2, crashes + (claimed_at is not null)::integer))
where id = (select id from messaging.parked_events
            where id = $1 and (due_at <= now() or due_at = 'infinity' and state = 'waiting')
              and not exists (select from messaging.pauses where scope = 'inbox:' || $3) for update skip locked)
returning crashes, claimed_at::text as claim`;
const RENEW = `
update messaging.parked_events set due_at = now() + make_interval(secs => $3 * power(2, crashes))
from unnest($1::bigint[], $2::text[]) mine (id, claim)
where parked_events.id = mine.id and claimed_at = mine.claim::timestamptz`;
const UNCLAIM = `
update messaging.parked_events set attempts = attempts - 1, claimed_at = null, due_at = now() + interval '1 s'
from unnest($1::bigint[], $2::text[]) mine (id, claim)
where parked_events.id = mine.id and claimed_at = mine.claim::timestamptz`;

const RUN_OF_STREAM = `
select id, attempts, state, sequence, sequence is not null as logged, convert_from(body, 'UTF8') as body
from messaging.parked_events
where inbox = $1 and source = $2 and epoch = $3 and aggregate = $4 and subject = $5 and state <> 'dead'
order by sequence limit $6`;
const SINGLE = `
select id, attempts, state, sequence, false as logged, convert_from(body, 'UTF8') as body
from messaging.parked_events where id = $1`;

export class ParkedWorker {
  readonly #logger = new Logger('Parked events');
  readonly #stopping = new AbortController();
  readonly #heads: ParkedHeads;
  #running: Promise<void> | undefined;
  /** Parked events that are being worked on, and the claims on them. */
  readonly #claims = new Map<string, string>();
  readonly #unfinished = new Map<string, string>();
  readonly #active = new Set<Promise<void>>();
  #refreshAt = 0;
  #isAdmitted = false;

  /** @param admit throws while the inbox must not work, because of a reaction that has missed something */
  constructor(
    private readonly inbox: string,
    private readonly pool: Pool,
    private readonly applier: Applier,
    private readonly holds: Holds,
    private readonly admit: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#heads = new ParkedHeads(inbox, pool);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const renewal = setInterval(() => this.#renew(), RENEW_MS);
    try {
      await this.#poll();
      await this.#giveBack().catch(() => {});
    } finally {
      clearInterval(renewal);
    }
  }

  async #poll(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      try {
        await this.#housekeeping();
        const found = await this.#round();
        failures = 0;
        const isBusy = found > 0 || (await this.#heads.wakeIncompatible());
        const wait = isBusy ? POLL_MS / 10 : (await this.#isEmpty()) ? IDLE_POLL_MS : POLL_MS;
        await pause(wait, this.#stopping.signal);
      } catch (error) {
        this.#logger.warn(`paused: ${(error as Error).message}`);
        await backOff(failures++, { signal: this.#stopping.signal });
      }
    }
    await Promise.all(this.#active);
  }

  async #housekeeping(): Promise<void> {
    await this.#giveBack();
    if (!this.#isAdmitted) await this.admit();
    this.#isAdmitted = true;
    if (performance.now() > this.#refreshAt) {
      this.#refreshAt = performance.now() + REFRESH_MS;
      await this.holds.refresh();
    }
  }

  async #isEmpty(): Promise<boolean> {
    const { rowCount } = await this.pool.query('select from messaging.parked_events where inbox = $1 limit 1', [
      this.inbox,
    ]);
    return rowCount === 0;
  }

  /** Starts work on what is due, as far as there is room; one slow stream does not hold up the others. */
  async #round(): Promise<number> {
    const heads = await this.#heads.find();
    for (const head of heads) {
      if (this.#stopping.signal.aborted) break;
      const work = this.#settle(head).finally(() => this.#active.delete(work));
      this.#active.add(work);
      while (this.#active.size >= STREAMS) await Promise.race(this.#active);
    }
    return heads.length;
  }

  /** Never rejects. */
  async #settle(head: HeadRow): Promise<void> {
    try {
      await (head.passed ? this.#heads.drop(head) : this.#work(head));
    } catch (error) {
      this.#logger.warn(`${head.id} is tried again soon: ${(error as Error).message}`);
    }
  }

  async #work(head: HeadRow): Promise<void> {
    const claimed = await this.pool.query<{ crashes: number; claim: string }>(CLAIM, [
      head.id,
      CLAIM_SECONDS,
      this.inbox,
    ]);
    if (claimed.rowCount === 0) return; // another process has it, or this one; or the inbox was paused meanwhile
    const { crashes, claim } = claimed.rows[0]!;
    this.#claims.set(head.id, claim);
    try {
      await this.#apply(head, crashes);
    } catch (error) {
      this.#unfinished.set(head.id, claim); // not its fault
      throw error;
    } finally {
      this.#claims.delete(head.id);
    }
  }

  async #apply(head: HeadRow, crashes: number): Promise<void> {
    // After a death it goes alone: it must not answer for what one of its successors does.
    const isCalm = head.state === 'waiting' && crashes === 0;
    const { rows } =
      head.sequence === null
        ? await this.pool.query<ParkedRow>(SINGLE, [head.id])
        : await this.pool.query<ParkedRow>(RUN_OF_STREAM, [
            this.inbox,
            head.source,
            head.epoch,
            head.aggregate,
            head.subject,
            isCalm ? RUN : 1,
          ]);
    const items = contiguous(rows).map((row) => toItem(row, row.id === head.id));
    const failures = new Map<Item, Failure>();
    const claimed = items.find(({ parked }) => parked!.id === head.id);
    if (claimed && crashes >= MAX_CRASHES) {
      const error = `${crashes} processes died while they applied this event`;
      failures.set(claimed, { state: 'dead', error, counts: true });
    }
    const limitMs = head.state === 'waiting' ? RUN_LIMIT_MS : LIMIT_MS;
    if (items.length > 0) await this.applier.apply(items, limitMs, failures);
  }

  /** Gives back what a lost connection has left claimed; it does not count as an attempt. */
  async #giveBack(): Promise<void> {
    if (this.#unfinished.size === 0) return;
    const claims = [...this.#unfinished];
    await this.pool.query(UNCLAIM, [claims.map(([id]) => id), claims.map(([, claim]) => claim)]);
    for (const [id] of claims) this.#unfinished.delete(id);
  }

  /** A claim lasts as long as its process lives, and a little longer. */
  #renew(): void {
    if (this.#claims.size === 0) return;
    const mine = [[...this.#claims.keys()], [...this.#claims.values()], CLAIM_SECONDS];
    this.pool.query(RENEW, mine).catch(() => {}); // without a database nobody else can claim it either
  }
}

/** The events up to the first one that is missing; behind it nothing can go through anyway. */
function contiguous(rows: readonly ParkedRow[]): ParkedRow[] {
  const end = rows.findIndex((row, index) => index > 0 && Number(row.sequence) > Number(rows[index - 1]!.sequence) + 1);
  return end < 0 ? [...rows] : rows.slice(0, end);
}

/** The claim has already counted the head's attempt. */
function toItem({ id, attempts, state, logged, body }: ParkedRow, claimed: boolean): Item {
  const attributes = JSON.parse(body) as LoggedAttributes;
  const envelope: Envelope = logged ? asLogged(attributes) : { ...attributes, kind: 'foreign' };
  return { envelope, parked: { id, attempts: attempts - (claimed ? 1 : 0), state } };
}
