// The service's events as they are recorded. Positions become visible out of order, because they are given before the
// commit: whatever is missing below the newest one is looked for again until no transaction can fill it any more.
import type { Database } from '@app/database';
import { pause } from '../rabbitmq/backoff.js';
import { OperationError, select } from './operation.js';

const POLL_MS = 250;
const AT_ONCE = 500;
/** This far behind the newest one an event may still be waiting for its commit. */
const LATE_POSITIONS = 1_000;
/** An event carries the time at which its transaction began; longer ones are cut off by the settings of the service. */
const LONGEST_TRANSACTION_MS = 60_000;

export interface TailOptions {
  /** Only these types; `orders.order.*` matches all that begin so. */
  types?: readonly string[] | undefined;
  subject?: string | undefined;
  /** From when on; default: from now on. */
  since?: Date | undefined;
  /** Ends when everything that is there now was told. */
  once?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface RecordedEvent {
  position: number;
  id: string;
  type: string;
  subject: string;
  sequence: number;
  recordedAt: Date;
  correlationId: string;
  causationId: string | null;
  data: unknown;
}

const READ = `
select position::float8 as position, id, type, subject, sequence::float8 as sequence, recorded_at as "recordedAt",
       correlation_id as "correlationId", causation_id as "causationId", data
from messaging.events where position > $1 and position <> all($2::bigint[]) order by position limit $3`;

// Every transaction that had begun by `xmax` has ended once the oldest one that runs is at least as new.
const HORIZON = `
select pg_snapshot_xmin(pg_current_snapshot())::text as oldest, pg_snapshot_xmax(pg_current_snapshot())::text as next`;

/** Yields events in the order in which they become visible; within a stream in order. */
export async function* tail(database: Database, options: TailOptions = {}): AsyncGenerator<RecordedEvent> {
  const { signal, since } = options;
  const seen = since ? new Seen(await positionBefore(database, since)) : await allThatIsThere(database);
  while (!signal?.aborted) {
    // The horizon first: what was running then may still fill gaps that this read shows.
    const [horizon] = await select<{ oldest: string; next: string }>(database, HORIZON);
    const events = await select<RecordedEvent>(database, READ, [seen.upTo, seen.beyond, AT_ONCE]);
    seen.add(events.map(({ position }) => position));
    seen.settle(BigInt(horizon!.oldest), BigInt(horizon!.next));
    for (const event of events) if (matches(event, options)) yield event;
    if (events.length === AT_ONCE) continue;
    if (options.once) return;
    await pause(POLL_MS, signal);
  }
}

/** Everything up to `upTo` was seen or never comes; `beyond` are the positions seen above it. */
export class Seen {
  readonly #beyond = new Set<number>();
  /** The newest position at some moment, and the first transaction that had not begun by then, once that is known. */
  #gap: { below: number; next?: bigint } | undefined;

  constructor(public upTo: number) {}

  get beyond(): number[] {
    return [...this.#beyond];
  }

  add(positions: readonly number[]): void {
    for (const position of positions) this.#beyond.add(position);
    this.#advance();
  }

  /**
   * Gives up on gaps that no running transaction can fill.
   *
   * @param oldest the oldest transaction that ran just before the last read
   * @param next the first one that had not begun by then
   */
  settle(oldest: bigint, next: bigint): void {
    if (this.#gap?.next !== undefined && oldest >= this.#gap.next) {
      this.upTo = Math.max(this.upTo, this.#gap.below);
      for (const position of this.#beyond) if (position <= this.upTo) this.#beyond.delete(position);
      this.#gap = undefined;
      this.#advance();
    }
    if (this.#gap)
      this.#gap.next ??= next; // of a look after the read that showed the gap
    else if (this.#beyond.size > 0) this.#gap = { below: [...this.#beyond].reduce((a, b) => Math.max(a, b)) };
  }

  #advance(): void {
    while (this.#beyond.delete(this.upTo + 1)) this.upTo++;
  }
}

/** `10m`, `2h`, `1d`, or a date and time. */
export function parseSince(text: string, now = new Date()): Date {
  const [, amount, unit] = /^(\d+)\s*([smhd])$/.exec(text) ?? [];
  if (amount) return new Date(now.getTime() - Number(amount) * { s: 1, m: 60, h: 3600, d: 86_400 }[unit as 's'] * 1000);
  const date = new Date(text);
  if (!Number.isNaN(date.getTime())) return date;
  throw new OperationError('invalid', `"${text}" is no time: say 30s, 10m, 2h, 1d or 2026-01-31T12:00:00Z.`);
}

function matches({ type, subject, recordedAt }: RecordedEvent, options: TailOptions): boolean {
  if (options.subject !== undefined && subject !== options.subject) return false;
  if (options.since && recordedAt < options.since) return false;
  const { types } = options;
  if (!types?.length) return true;
  return types.some((wanted) => (wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted));
}

/** Everything that is committed now; what commits later may lie a little before the newest one. */
async function allThatIsThere(database: Database): Promise<Seen> {
  const seen = new Seen(Math.max(0, (await newestPosition(database)) - LATE_POSITIONS));
  const visible = await select<{ position: number }>(
    database,
    'select position::float8 as position from messaging.events where position > $1 order by position',
    [seen.upTo],
  );
  seen.add(visible.map(({ position }) => position));
  return seen;
}

async function newestPosition(database: Database): Promise<number> {
  const [row] = await select<{ newest: number }>(
    database,
    'select coalesce(max(position), 0)::float8 as newest from messaging.events',
  );
  return row!.newest;
}

/** The last position that is surely older than `since`: times nearly follow positions, so bisection finds it by its key. */
async function positionBefore(database: Database, since: Date): Promise<number> {
  const safe = since.getTime() - LONGEST_TRANSACTION_MS;
  let low = 0;
  let high = await newestPosition(database);
  while (low < high) {
    const middle = Math.floor((low + high + 1) / 2);
    const [event] = await select<{ at: Date }>(
      database,
      'select recorded_at as at from messaging.events where position <= $1 order by position desc limit 1',
      [middle],
    );
    if (!event || event.at.getTime() < safe) low = middle;
    else high = middle - 1;
  }
  return low;
}
