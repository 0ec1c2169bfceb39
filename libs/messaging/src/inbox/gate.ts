// Lets every event through once and in order. The decision is plain code; the database refuses it if it was made on
// stale rows, and then the whole batch is done again.
import { sabotaged } from '@app/context';
import type { OpenTransaction } from '@app/database';
import type { LoggedEvent } from '../cloud-event.js';

/** Stands for the id of an event that was skipped without ever having arrived. */
export const NEVER_ARRIVED = '00000000-0000-0000-0000-000000000000';

/** The gate's rows have changed since they were read: roll back and do the whole batch again. */
export class StaleGateError extends Error {
  override readonly name = 'StaleGateError';
}

/** A sequence was used twice for different events: the producer was restored, or somebody forged an event. */
export class ForkError extends Error {
  override readonly name = 'ForkError';
  readonly source: string;
  readonly epoch: string;
  constructor({ source, epoch, aggregate, subject, sequence, id }: GatedEvent, appliedId: string) {
    super(
      `${aggregate}/${subject} has two events with sequence ${sequence}, ${appliedId} (applied) and ${id}: the log of ${source} was restored to an older state, or the event was forged`,
    );
    this.source = source;
    this.epoch = epoch;
  }
}

interface Stream {
  source: string;
  epoch: string;
  aggregate: string;
  subject: string;
  /** In the database; 0: no row. */
  was: number;
  /** Where its row lies. */
  at: string;
  last: number;
  lastEventId: string;
  /** Held by somebody else, or by a failed predecessor in this batch: successors are parked. */
  held: boolean;
  /** Not locked by somebody else. */
  mine: boolean;
}

/** Where an event stands: apply it, drop it, or park it until its predecessors are through. */
export type Verdict = 'next' | 'duplicate' | 'ahead';

// Row by row through the primary key: a plain join reads the whole table until somebody has analyzed it (76 ms per batch
// of 500 while the first 100 000 streams came in; 2 ms like this).
const find = (how: string) => `
select u.n::integer as n, s.at, s.last_sequence, s.last_event_id
from unnest($2::text[], $3::uuid[], $4::text[], $5::text[]) with ordinality u (source, epoch, aggregate, subject, n)
cross join lateral (
  select ctid::text as at, last_sequence, last_event_id from messaging.inbox_streams s
  where s.inbox = $1 and s.source = u.source and s.epoch = u.epoch and s.aggregate = u.aggregate
    and s.subject = u.subject limit 1 ${how}) s`;
// Never wait for a stream that a worker has: its events are parked, and whoever holds the row takes them along.
const LOCK = find('for update skip locked');
const LOOK = find('');
// Sorted, so that two inboxes cannot deadlock. These statements stay unnamed: a plan cached while the table was small
// costs 10 × (133 ms per batch of 500 at 10 000 streams).
const INSERT = `
insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
select $1, u.* from unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[], $7::uuid[]) u
order by 2, 3, 4, 5 on conflict do nothing`;
// By their place, which stays where it is while the row is locked.
const UPDATE = `
update messaging.inbox_streams s set last_sequence = u.upto, last_event_id = u.event_id
from unnest($1::tid[], $2::bigint[], $3::uuid[], $4::bigint[]) u (at, upto, event_id, was)
where s.ctid = u.at and s.last_sequence = u.was`;

interface GateRow {
  /** Which of the streams that were asked for, from 1. */
  n: number;
  /** Where the row lies. */
  at: string;
  last_sequence: string;
  last_event_id: string;
}

export class Gate {
  readonly #streams: Map<string, Stream>;

  private constructor(
    private readonly inbox: string,
    streams: Map<string, Stream>,
  ) {
    this.#streams = streams;
  }

  /**
   * Reads and locks the rows of all streams of `events`.
   *
   * @param careful after a stale attempt: also look at rows that somebody else has locked, instead of taking them for new
   */
  static async open(
    tx: OpenTransaction,
    inbox: string,
    events: readonly GatedEvent[],
    careful: boolean,
  ): Promise<Gate> {
    const byKey = new Map<string, Stream>();
    for (const event of events) {
      const key = keyOf(event);
      if (!byKey.has(key)) byKey.set(key, unseen(event));
    }
    const streams = [...byKey.values()];
    if (streams.length > 0) {
      const { rows } = await tx.query<GateRow>(LOCK, [inbox, ...arrays(streams)]);
      take(streams, rows, false);
      const missing = streams.filter(({ was }) => was === 0);
      if (careful && missing.length > 0) {
        const looked = await tx.query<GateRow>(LOOK, [inbox, ...arrays(missing)]);
        take(missing, looked.rows, true);
      }
    }
    return new Gate(inbox, byKey);
  }

  /** @throws {@link ForkError} */
  judge(event: GatedEvent): Verdict {
    const { last, lastEventId } = this.#of(event);
    const isOther = event.id !== lastEventId && lastEventId !== NEVER_ARRIVED;
    if (event.sequence === last && isOther) throw new ForkError(event, lastEventId);
    return this.look(event);
  }

  /** The verdict, without the look for forks. */
  look(event: GatedEvent): Verdict {
    const { last, held } = this.#of(event);
    if (event.sequence <= last) return sabotaged('no-gate') ? 'next' : 'duplicate';
    if (sabotaged('no-gate') || sabotaged('no-sequence-check')) return 'next';
    return event.sequence === last + 1 && !held ? 'next' : 'ahead';
  }

  /** The event goes through. */
  advance(event: GatedEvent): void {
    const stream = this.#of(event);
    stream.last = event.sequence;
    stream.lastEventId = event.id;
  }

  /** The event does not go through now, and so none of its stream behind it. */
  hold(event: GatedEvent): void {
    this.#of(event).held = true;
  }

  /** How far the streams are that this transaction has locked: parked copies up to there have had their effect. */
  get passed(): Pick<Stream, 'source' | 'epoch' | 'aggregate' | 'subject' | 'last'>[] {
    return [...this.#streams.values()].filter(({ last, mine }) => mine && last > 0);
  }

  /** Writes what has advanced. Sent in front of the reactions, so that a stale gate is found before their writes matter. */
  async write(tx: OpenTransaction): Promise<void> {
    const moved = [...this.#streams.values()].filter(({ last, was }) => last > was);
    const fresh = moved.filter(({ was }) => was === 0);
    const known = moved.filter(({ was }) => was > 0);
    const counts = await Promise.all([
      fresh.length === 0 ? 0 : count(tx, INSERT, [this.inbox, ...arrays(fresh), ...moves(fresh)]),
      known.length === 0
        ? 0
        : count(tx, UPDATE, [known.map(({ at }) => at), ...moves(known), known.map(({ was }) => was)]),
    ]);
    if (counts[0] !== fresh.length || counts[1] !== known.length)
      throw new StaleGateError('the gate was moved by somebody else');
  }

  #of(event: GatedEvent): Stream {
    return this.#streams.get(keyOf(event))!;
  }
}

/** A logged event together with the aggregate that its type names. */
export type GatedEvent = LoggedEvent & { aggregate: string };

/** One string per stream. */
export const keyOf = ({
  source,
  epoch,
  aggregate,
  subject,
}: Pick<Stream, 'source' | 'epoch' | 'aggregate' | 'subject'>) => `${source} ${epoch} ${aggregate} ${subject}`;

const arrays = (streams: readonly Stream[]) => [
  streams.map(({ source }) => source),
  streams.map(({ epoch }) => epoch),
  streams.map(({ aggregate }) => aggregate),
  streams.map(({ subject }) => subject),
];

const moves = (streams: readonly Stream[]) => [
  streams.map(({ last }) => last),
  streams.map(({ lastEventId }) => lastEventId),
];

const count = async (tx: OpenTransaction, sql: string, values: unknown[]): Promise<number> =>
  (await tx.query(sql, values)).rowCount ?? 0;

const unseen = ({ source, epoch, aggregate, subject }: GatedEvent): Stream => ({
  ...{ source, epoch, aggregate, subject },
  ...{ was: 0, at: '', last: 0, lastEventId: '', held: false, mine: true },
});

function take(streams: readonly Stream[], rows: readonly GateRow[], held: boolean): void {
  for (const row of rows) {
    const stream = streams[row.n - 1]!;
    stream.was = stream.last = Number(row.last_sequence);
    stream.at = row.at;
    stream.lastEventId = row.last_event_id;
    stream.held = held;
    stream.mine = !held;
  }
}
