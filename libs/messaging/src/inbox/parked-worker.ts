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
/** Streams worked on at the same time. */
const STREAMS = 4;
/** Events of one stream in one transaction. */
const RUN = 100;
const LIMIT_MS = 30_000;
/** A claim that is older belongs to a process that died. */
const CLAIM_SECONDS = 60;
/** An event with which that many processes died is not tried again by itself. */
const MAX_CRASHES = 3;

interface HeadRow {
  id: string;
  source: string;
  epoch: string | null;
  aggregate: string | null;
  subject: string | null;
  sequence: string | null;
}

interface ParkedRow {
  id: string;
  attempts: number;
  state: ParkedState;
  sequence: string | null;
  logged: boolean;
  body: string;
}

// The first parked event of each stream (a loose index scan: cost follows the parked streams, not their events), if it
// is due and not ahead of the gate; and events without a stream.
const HEADS = `
with recursive head as (
  (select id, source, epoch, aggregate, subject, sequence, state, due_at from messaging.parked_events
   where inbox = $1 and sequence is not null order by source, epoch, aggregate, subject, sequence limit 1)
  union all
  select next.* from head cross join lateral (
    select p.id, p.source, p.epoch, p.aggregate, p.subject, p.sequence, p.state, p.due_at from messaging.parked_events p
    where p.inbox = $1 and p.sequence is not null
      and (p.source, p.epoch, p.aggregate, p.subject) > (head.source, head.epoch, head.aggregate, head.subject)
    order by p.source, p.epoch, p.aggregate, p.subject, p.sequence limit 1) next)
(select h.id, h.source, h.epoch, h.aggregate, h.subject, h.sequence from head h
 left join messaging.inbox_streams s
   on s.inbox = $1 and s.source = h.source and s.epoch = h.epoch and s.aggregate = h.aggregate and s.subject = h.subject
 where h.state <> 'dead' and h.due_at <= now() and h.sequence <= coalesce(s.last_sequence, 0) + 1
   and not exists (select from messaging.inbox_holds x where x.inbox = $1 and x.source = h.source and x.epoch = h.epoch)
 limit $2)
union all
(select id, source, null, null, subject, null from messaging.parked_events
 where inbox = $1 and sequence is null and state <> 'dead' and due_at <= now() limit $2)`;

// Committed before the reaction runs: an event that kills the process has used up an attempt.
const CLAIM = `
update messaging.parked_events
set attempts = attempts + 1, due_at = now() + make_interval(secs => $2), claimed_at = now(),
    crashes = crashes + (claimed_at is not null)::integer
where id = (select id from messaging.parked_events where id = $1 and due_at <= now() for update skip locked)
returning crashes`;

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
    const { rows } = await this.pool.query<HeadRow>(HEADS, [this.inbox, STREAMS]);
    const worked = await Promise.all(rows.map((head) => this.#work(head)));
    return worked.filter(Boolean).length;
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
    const failures = new Map<Item, Failure>();
    if (crashes >= MAX_CRASHES) {
      const error = `${crashes} processes died while they applied this event`;
      failures.set(items[0]!, { state: 'dead', error, counts: true });
    }
    await this.applier.apply(items, LIMIT_MS, failures);
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
