// Takes parked events that are due and next in their stream, and applies them together with their successors.
// Found by state, never by notification alone, so that nothing is forgotten after a crash.
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import type { Envelope } from '../cloud-event.js';
import { backOff, pause } from '../rabbitmq/backoff.js';
import type { Applier } from './applier.js';
import type { Failure, Item, ParkedState } from './item.js';

const POLL_MS = 250;
const IDLE_POLL_MS = 1_000;
/** The look at everything that waits takes at most this part of the time, however many streams are parked. */
const LOOK_SHARE = 1 / 20;
/** Streams worked on at the same time, and found by one look. */
const STREAMS = 4;
const FOUND = 40;
/** Events of one stream in one transaction. */
const RUN = 100;
const LIMIT_MS = 30_000;
/** A claim that is older belongs to a process that died. */
const CLAIM_SECONDS = 60;
const UNCLAIM = `
update messaging.parked_events set attempts = attempts - 1, claimed_at = null, due_at = now() + interval '1 s' where id = $1`;
/** An event with which that many processes died is not tried again by itself. */
const MAX_CRASHES = 3;

interface HeadRow {
  id: string;
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

// What waits for its time is at the head of its stream, because the gate let it come so far.
const DUE = `
select id, source, epoch, aggregate, subject, sequence from messaging.parked_events p
where inbox = $1 and state in ('retry', 'slow', 'incompatible') and due_at <= now() and not ${isHeld('p')}
  and not ${isPaused('p.type')}
order by due_at limit $2`;

// The first parked event of each stream (a loose index scan: cost follows the parked streams, not their events), if it
// only waited for its predecessor and that one is through by now.
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
select h.id, h.source, h.epoch, h.aggregate, h.subject, h.sequence, h.sequence <= s.last_sequence as passed from head h
left join messaging.inbox_streams s
  on s.inbox = $1 and s.source = h.source and s.epoch = h.epoch and s.aggregate = h.aggregate and s.subject = h.subject
where (h.sequence <= s.last_sequence
       or h.state = 'waiting' and h.due_at <= now() and h.sequence = coalesce(s.last_sequence, 0) + 1)
  and not ${isHeld('h')} and not ${isPaused('h.type')}
limit $2`;

// Committed before the reaction runs: an event that kills the process has used up an attempt.
const CLAIM = `
update messaging.parked_events
set attempts = attempts + 1, due_at = now() + make_interval(secs => $2), claimed_at = now(),
    crashes = crashes + (claimed_at is not null)::integer
where id = (select id from messaging.parked_events where id = $1 and due_at <= now() for update skip locked)
returning crashes`;

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

  constructor(
    private readonly inbox: string,
    private readonly pool: Pool,
    private readonly applier: Applier,
  ) {}

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    await this.#tryIncompatibleAgain();
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      try {
        const found = await this.#round();
        failures = 0;
        await pause(found > 0 ? POLL_MS / 10 : (await this.#isEmpty()) ? IDLE_POLL_MS : POLL_MS, this.#stopping.signal);
      } catch (error) {
        this.#logger.warn(`paused: ${(error as Error).message}`);
        await backOff(failures++, { signal: this.#stopping.signal });
      }
    }
  }

  /** A new version of the service may understand what the old one did not. */
  async #tryIncompatibleAgain(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      try {
        const again = `update messaging.parked_events set due_at = now() where inbox = $1 and state = 'incompatible'`;
        await this.pool.query(again, [this.inbox]);
        return;
      } catch {
        await backOff(failures++, { signal: this.#stopping.signal });
      }
    }
  }

  async #isEmpty(): Promise<boolean> {
    const { rowCount } = await this.pool.query('select from messaging.parked_events where inbox = $1 limit 1', [
      this.inbox,
    ]);
    return rowCount === 0;
  }

  async #round(): Promise<number> {
    const { rows: due } = await this.pool.query<HeadRow>(DUE, [this.inbox, FOUND]);
    const heads = [...due, ...(await this.#waiting())];
    let worked = 0;
    const next = async () => {
      for (let head = heads.shift(); head && !this.#stopping.signal.aborted; head = heads.shift()) {
        if (await (head.passed ? this.#drop(head) : this.#work(head))) worked++;
      }
    };
    await Promise.all(Array.from({ length: STREAMS }, next));
    return worked;
  }

  async #waiting(): Promise<HeadRow[]> {
    if (performance.now() < this.#lookAt) return [];
    const started = performance.now();
    const { rows } = await this.pool.query<HeadRow>(WAITING, [this.inbox, FOUND]);
    const took = performance.now() - started;
    this.#lookAt = rows.length === FOUND ? 0 : performance.now() + took / LOOK_SHARE;
    return rows;
  }

  /** A copy of an event that went through, parked at the same moment. */
  async #drop(head: HeadRow): Promise<boolean> {
    const { rowCount } = await this.pool.query(DROP, [this.inbox, head.id]);
    return rowCount === 1;
  }

  async #work(head: HeadRow): Promise<boolean> {
    const claimed = await this.pool.query<{ crashes: number }>(CLAIM, [head.id, CLAIM_SECONDS]);
    if (claimed.rowCount === 0) return false; // another process has it
    const { crashes } = claimed.rows[0]!;
    const { rows } =
      head.sequence === null
        ? await this.pool.query<ParkedRow>(SINGLE, [head.id])
        : await this.pool.query<ParkedRow>(RUN_OF_STREAM, [
            this.inbox,
            head.source,
            head.epoch,
            head.aggregate,
            head.subject,
            RUN,
          ]);
    const items = contiguous(rows).map((row) => toItem(row, row.id === head.id));
    if (items.length === 0) return false; // an operator was faster
    const failures = new Map<Item, Failure>();
    if (crashes >= MAX_CRASHES) {
      const error = `${crashes} processes died while they applied this event`;
      failures.set(items[0]!, { state: 'dead', error, counts: true });
    }
    try {
      await this.applier.apply(items, LIMIT_MS, failures);
    } catch (error) {
      await this.pool.query(UNCLAIM, [head.id]).catch(() => {}); // not its fault; without a database it counts as a crash
      throw error;
    }
    return true;
  }
}

/** The events up to the first one that is missing; behind it nothing can go through anyway. */
function contiguous(rows: readonly ParkedRow[]): ParkedRow[] {
  const end = rows.findIndex((row, index) => index > 0 && Number(row.sequence) > Number(rows[index - 1]!.sequence) + 1);
  return end < 0 ? [...rows] : rows.slice(0, end);
}

/** The claim has already counted the head's attempt. */
function toItem({ id, attempts, state, logged, body }: ParkedRow, claimed: boolean): Item {
  const envelope = { ...(JSON.parse(body) as object), kind: logged ? 'logged' : 'foreign' } as Envelope;
  return { envelope, parked: { id, attempts: attempts - (claimed ? 1 : 0), state } };
}
