// Which parked events can be tried now: by state, never by notification alone, so that nothing is forgotten after a crash. What a
// look costs is bounded, however much is parked.
import { sabotaged } from '@app/context';
import type { Pool } from 'pg';
import type { ParkedState } from './item.js';

/** The look at everything that waits takes at most this part of the time, however many streams are parked. */
const LOOK_SHARE = 1 / 20;
/** Events in one look. */
const FOUND = 40;
/** Streams in one look at everything that waits. */
export const LOOK_STREAMS = 10_000;
/** Another version of the service may be running beside this one, and have tried them in vain. */
const INCOMPATIBLE_EVERY_MS = 300_000;

type Stream = Pick<HeadRow, 'source' | 'epoch' | 'aggregate' | 'subject'>;

/** The first parked event of a stream, or one that has no stream. */
export interface HeadRow {
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

/** A stream that {@link WAITING} has seen. */
interface LookRow extends HeadRow {
  /** Its first event can be applied, or has been. */
  ready: boolean;
  /** Which of the streams of this look, from 1. */
  n: number;
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
// held, or its reaction was paused. So many streams at a time, from where the last look ended: all of them at once took longer
// than a statement may, with some hundred thousand streams behind a paused reaction.
const WAITING = `
with recursive head as (
  (select 1 as n, id, source, epoch, aggregate, subject, sequence, state, due_at, type from messaging.parked_events
   where inbox = $1 and sequence is not null and (source, epoch, aggregate, subject) > ($4, $5::uuid, $6, $7)
   order by source, epoch, aggregate, subject, sequence limit 1)
  union all
  select head.n + 1, next.* from head cross join lateral (
    select p.id, p.source, p.epoch, p.aggregate, p.subject, p.sequence, p.state, p.due_at, p.type
    from messaging.parked_events p
    where p.inbox = $1 and p.sequence is not null
      and (p.source, p.epoch, p.aggregate, p.subject) > (head.source, head.epoch, head.aggregate, head.subject)
    order by p.source, p.epoch, p.aggregate, p.subject, p.sequence limit 1) next
  where head.n < $3),
ready as (
  select h.*, h.sequence <= s.last_sequence as passed from head h
  left join messaging.inbox_streams s
    on s.inbox = $1 and s.source = h.source and s.epoch = h.epoch and s.aggregate = h.aggregate and s.subject = h.subject
  where (h.sequence <= s.last_sequence
         or h.state = 'waiting' and h.due_at = 'infinity' and h.sequence = coalesce(s.last_sequence, 0) + 1)
    and not ${isHeld('h')} and not ${isPaused('h.type')}
  limit $2)
select true as ready, n, id, state, source, epoch, aggregate, subject, sequence, passed from ready
union all
(select false, n, id, state, source, epoch, aggregate, subject, sequence, false from head order by n desc limit 1)`;

// There may be a million, which nobody here understands yet: some at a time.
const WAKE_INCOMPATIBLE = `
with woken as (
  update messaging.parked_events set due_at = now()
  where id in (select id from messaging.parked_events
               where state = 'incompatible' and inbox = $1 and due_at = 'infinity' and (parked_at, id) > ($2::timestamptz, $3)
               order by parked_at, id limit $4)
  returning parked_at, id)
select parked_at::text as "parkedAt", id from woken order by woken.parked_at desc, id desc limit 1`;

const DROP = `
delete from messaging.parked_events p using messaging.inbox_streams s
where p.id = $2 and p.inbox = $1 and s.inbox = $1 and s.source = p.source and s.epoch = p.epoch
  and s.aggregate = p.aggregate and s.subject = p.subject and p.sequence <= s.last_sequence`;

/** In front of all streams. */
const BEGINNING: Stream = { source: '', epoch: '00000000-0000-0000-0000-000000000000', aggregate: '', subject: '' };

const NONE = { parkedAt: '-infinity', id: '0' };

export class ParkedHeads {
  #lookAt = 0;
  /** Up to this stream the look at everything that waits has come. */
  #seen: Stream = BEGINNING;
  #incompatibleAt = 0;
  /** Up to this one the incompatible ones have been tried. */
  #tried = NONE;

  constructor(
    private readonly inbox: string,
    private readonly pool: Pool,
  ) {}

  /** What is due, and now and then what waits though nothing is in front of it any more; some at a time. */
  async find(): Promise<HeadRow[]> {
    const { rows: due } = await this.pool.query<HeadRow>(DUE, [this.inbox, FOUND]);
    return [...due, ...(await this.#waiting())];
  }

  /**
   * Lets some of those be tried that another version of the service may understand, five minutes after all were. Called when
   * nothing else is to be done.
   *
   * @returns whether there were any
   */
  async wakeIncompatible(): Promise<boolean> {
    if (performance.now() < this.#incompatibleAt) return false;
    const { parkedAt, id } = this.#tried;
    const { rows } = await this.pool.query<typeof NONE>(WAKE_INCOMPATIBLE, [this.inbox, parkedAt, id, FOUND]);
    this.#tried = rows[0] ?? NONE;
    if (rows.length === 0) this.#incompatibleAt = performance.now() + INCOMPATIBLE_EVERY_MS;
    return rows.length > 0;
  }

  async #waiting(): Promise<HeadRow[]> {
    if (performance.now() < this.#lookAt || sabotaged('no-look-for-successors')) return [];
    const started = performance.now();
    const { source, epoch, aggregate, subject } = this.#seen;
    const from = [source, epoch, aggregate, subject];
    const { rows } = await this.pool.query<LookRow>(WAITING, [this.inbox, FOUND, LOOK_STREAMS, ...from]);
    const took = performance.now() - started;
    const ready = rows.filter((row) => row.ready);
    const isFull = ready.length === FOUND; // there may be more among the same streams
    this.#lookAt = isFull ? 0 : performance.now() + took / LOOK_SHARE;
    const last = rows.find((row) => !row.ready);
    if (!isFull) this.#seen = last?.n === LOOK_STREAMS ? last : BEGINNING;
    return ready;
  }

  /** A copy of an event that went through, parked at the same moment. */
  async drop(head: HeadRow): Promise<void> {
    await this.pool.query(DROP, [this.inbox, head.id]);
  }
}
