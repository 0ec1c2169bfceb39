// Takes parked events that are due and next in their stream, and applies them together with their successors.
// Found by state, never by notification alone, so that nothing is forgotten after a crash.
import { sabotaged } from '@app/context';
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import type { Holds } from '../books/holds.js';
import { asLogged, type Envelope, type LoggedAttributes } from '../cloud-event.js';
import { backOff, pause } from '../rabbitmq/backoff.js';
import type { Applier } from './applier.js';
import type { Failure, Item, ParkedState } from './item.js';

const POLL_MS = 250;
const IDLE_POLL_MS = 1_000;
/** The look at everything that waits takes at most this part of the time, however many streams are parked. */
const LOOK_SHARE = 1 / 20;
/** Streams worked on at the same time, and found by one look. */
export const STREAMS = 4;
const FOUND = 40;
/** Events that only waited are applied together, like live ones; what was slow or has failed goes alone, with more time. */
const RUN = 20;
const RUN_LIMIT_MS = 2_000;
const LIMIT_MS = 30_000;
const REFRESH_MS = 2_000;
/** Another version of the service may be running beside this one, and have tried them in vain. */
const INCOMPATIBLE_EVERY_MS = 300_000;
/** A claim that is not renewed for this long belongs to a process that died. Twice as long after each death: what kills
 * processes does it ever more rarely, and what only happened to be there when they were killed is not taken for the culprit. */
const CLAIM_SECONDS = 6;
const RENEW_MS = 2_000;
/** An event with which that many processes died is not tried again by itself. */
const MAX_CRASHES = 4;

interface HeadRow {
  id: string;
  state: ParkedState;
  source: string;
  epoch: string | null;
  aggregate: string | null;
  subject: string | null;
  sequence: string | null;
  /** It has gone through by another way. */
  passed?: boolean;
}

interface ParkedRow {
  id: string;
  attempts: number;
  state: ParkedState;
  sequence: string | null;
  logged: boolean;
  body: string;
}

/** Its log contradicts what was applied here. */
const isHeld = (event: string) => `exists (
  select from messaging.inbox_holds x where x.inbox = $1 and x.source = ${event}.source and x.epoch = ${event}.epoch)`;

/** The inbox is paused, or a reaction to events of this type. */
const isPaused = (type: string) => `exists (
  select from messaging.pauses z where z.scope = 'inbox:' || $1 or z.scope in (
    select 'reaction:' || r.reaction from messaging.reactions r where r.inbox = $1 and r.type = ${type}))`;

// What is due is at the head of its stream: the gate let it come so far, or its predecessor woke it.
const DUE = `
select id, state, source, epoch, aggregate, subject, sequence from messaging.parked_events p
where inbox = $1 and state <> 'dead' and due_at <= now() and not ${isHeld('p')} and not ${isPaused('p.type')}
order by due_at limit $2`;

// The safety net, by state: the first parked event of each stream (a loose index scan: cost follows the parked streams,
// not their events), if its predecessor is through and nobody woke it – both happened in the same moment, or its log was
// held, or its reaction was paused.
const WAITING = `
with recursive head as (
  (select id, source, epoch, aggregate, subject, sequence, state, due_at, type from messaging.parked_events
   where inbox = $1 and sequence is not null order by source, epoch, aggregate, subject, sequence limit 1)
  union all
  select next.* from head cross join lateral (
    select p.id, p.source, p.epoch, p.aggregate, p.subject, p.sequence, p.state, p.due_at, p.type
    from messaging.parked_events p
    where p.inbox = $1 and p.sequence is not null
      and (p.source, p.epoch, p.aggregate, p.subject) > (head.source, head.epoch, head.aggregate, head.subject)
    order by p.source, p.epoch, p.aggregate, p.subject, p.sequence limit 1) next)
select h.id, h.state, h.source, h.epoch, h.aggregate, h.subject, h.sequence, h.sequence <= s.last_sequence as passed from head h
left join messaging.inbox_streams s
  on s.inbox = $1 and s.source = h.source and s.epoch = h.epoch and s.aggregate = h.aggregate and s.subject = h.subject
where (h.sequence <= s.last_sequence
       or h.state = 'waiting' and h.due_at = 'infinity' and h.sequence = coalesce(s.last_sequence, 0) + 1)
  and not ${isHeld('h')} and not ${isPaused('h.type')}
limit $2`;

// Committed before the reaction runs: an event that kills the process has used up an attempt.
const CLAIM = `
update messaging.parked_events
set attempts = attempts + 1, claimed_at = clock_timestamp(), crashes = crashes + (claimed_at is not null)::integer,
    due_at = now() + make_interval(secs => $2 * power(2, crashes + (claimed_at is not null)::integer))
where id = (select id from messaging.parked_events
            where id = $1 and (due_at <= now() or due_at = 'infinity' and state = 'waiting') for update skip locked)
returning crashes, claimed_at::text as claim`;
const RENEW = `
update messaging.parked_events set due_at = now() + make_interval(secs => $3 * power(2, crashes))
from unnest($1::bigint[], $2::text[]) mine (id, claim)
where parked_events.id = mine.id and claimed_at = mine.claim::timestamptz`;
const UNCLAIM = `
update messaging.parked_events set attempts = attempts - 1, claimed_at = null, due_at = now() + interval '1 s'
from unnest($1::bigint[], $2::text[]) mine (id, claim)
where parked_events.id = mine.id and claimed_at = mine.claim::timestamptz`;

const DROP = `
delete from messaging.parked_events p using messaging.inbox_streams s
where p.id = $2 and p.inbox = $1 and s.inbox = $1 and s.source = p.source and s.epoch = p.epoch
  and s.aggregate = p.aggregate and s.subject = p.subject and p.sequence <= s.last_sequence`;

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
  #running: Promise<void> | undefined;
  #lookAt = 0;
  /** Parked events that are being worked on, and the claims on them. */
  readonly #claims = new Map<string, string>();
  readonly #unfinished = new Map<string, string>();
  readonly #active = new Set<Promise<void>>();
  #refreshAt = 0;
  #incompatibleAt = 0;

  constructor(
    private readonly inbox: string,
    private readonly pool: Pool,
    private readonly applier: Applier,
    private readonly holds: Holds,
  ) {}

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
        const wait = found > 0 ? POLL_MS / 10 : (await this.#isEmpty()) ? IDLE_POLL_MS : POLL_MS;
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
    if (Date.now() > this.#refreshAt) {
      this.#refreshAt = Date.now() + REFRESH_MS;
      await this.holds.refresh();
    }
    if (Date.now() < this.#incompatibleAt) return;
    this.#incompatibleAt = Date.now() + INCOMPATIBLE_EVERY_MS;
    await this.pool.query(
      `update messaging.parked_events set due_at = now() where inbox = $1 and state = 'incompatible'`,
      [this.inbox],
    );
  }

  async #isEmpty(): Promise<boolean> {
    const { rowCount } = await this.pool.query('select from messaging.parked_events where inbox = $1 limit 1', [
      this.inbox,
    ]);
    return rowCount === 0;
  }

  /** Starts work on what is due, as far as there is room; one slow stream does not hold up the others. */
  async #round(): Promise<number> {
    const { rows: due } = await this.pool.query<HeadRow>(DUE, [this.inbox, FOUND]);
    const heads = [...due, ...(await this.#waiting())];
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
      await (head.passed ? this.#drop(head) : this.#work(head));
    } catch (error) {
      this.#logger.warn(`${head.id} is tried again soon: ${(error as Error).message}`);
    }
  }

  async #waiting(): Promise<HeadRow[]> {
    if (performance.now() < this.#lookAt || sabotaged('no-look-for-successors')) return [];
    const started = performance.now();
    const { rows } = await this.pool.query<HeadRow>(WAITING, [this.inbox, FOUND]);
    const took = performance.now() - started;
    this.#lookAt = rows.length === FOUND ? 0 : performance.now() + took / LOOK_SHARE;
    return rows;
  }

  /** A copy of an event that went through, parked at the same moment. */
  async #drop(head: HeadRow): Promise<void> {
    await this.pool.query(DROP, [this.inbox, head.id]);
  }

  async #work(head: HeadRow): Promise<void> {
    const claimed = await this.pool.query<{ crashes: number; claim: string }>(CLAIM, [head.id, CLAIM_SECONDS]);
    if (claimed.rowCount === 0) return; // another process has it, or this one
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
    const { rows } =
      head.sequence === null
        ? await this.pool.query<ParkedRow>(SINGLE, [head.id])
        : await this.pool.query<ParkedRow>(RUN_OF_STREAM, [
            this.inbox,
            head.source,
            head.epoch,
            head.aggregate,
            head.subject,
            head.state === 'waiting' ? RUN : 1,
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
