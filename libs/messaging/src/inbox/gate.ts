// Lets every event through once and in order. The decision is plain code; the database refuses it if it was made on
// stale rows, and then the whole batch is done again.
import { sabotaged } from '@app/context';
import { isUniqueViolation, preparedAs, type OpenTransaction } from '@app/database';
import type { LoggedEvent } from '../cloud-event.js';
import { arrayOf } from '../sql-array.js';

/** Stands for the id of an event that was skipped without ever having arrived. */
export const NEVER_ARRIVED = '00000000-0000-0000-0000-000000000000';

/** The gate's rows have changed since they were read: roll back and do the whole batch again. */
export class StaleGateError extends Error {
  override readonly name = 'StaleGateError';
}

/** Streams were taken for new, and nothing that is written would tell whether they are: look first. */
export class UnverifiedGuessError extends StaleGateError {}

/** A sequence was used twice for different events: the producer was restored, or somebody forged an event. */
export class ForkError extends Error {
  override readonly name = 'ForkError';
  readonly source: string;
  readonly epoch: string;
  constructor({ source, epoch, aggregate, subject, sequence, id }: LoggedEvent, appliedId: string) {
    super(
      `${aggregate}/${subject} has two events with sequence ${sequence}, ${appliedId} (applied) and ${id}: the log of ${source} was restored to an older state, or the event was forged`,
    );
    this.source = source;
    this.epoch = epoch;
  }
}

/** A stream of the batch; nothing is known of it at first. */
class Stream {
  readonly source: string;
  readonly epoch: string;
  readonly aggregate: string;
  readonly subject: string;
  /** In the database; 0: no row. */
  was = 0;
  /** Where its row lies. */
  at = '';
  last = 0;
  lastEventId = '';
  /** Held by somebody else, or by a failed predecessor in this batch: successors are parked. */
  held = false;
  /** Not locked by somebody else. */
  mine = true;
  /** Taken for new without a look. */
  isGuessed = false;

  constructor({ source, epoch, aggregate, subject }: LoggedEvent) {
    this.source = source;
    this.epoch = epoch;
    this.aggregate = aggregate;
    this.subject = subject;
  }
}

/** Where an event stands: apply it, drop it, or park it until its predecessors are through. */
export type Verdict = 'next' | 'duplicate' | 'ahead';

// Through the primary key, which Postgres walks from one subject to the next. In an array that is not known when the statement is
// planned, or it would expect many rows and read the whole table. Row by row, in a join, it finds each from the root of the index.
const find = (how: string) => `
select subject, ctid::text as at, last_sequence, last_event_id from messaging.inbox_streams
where inbox = $1 and source = $2 and epoch = $3 and aggregate = $4
  and subject = any(array(select unnest($5::text[]))) ${how}`;
// Never wait for a stream that a worker has: its events are parked, and the workers' look finds them when it is through.
const LOCK = find('for update skip locked');
const LOOK = find('');
const lockName = preparedAs('gate-lock');
// Without "on conflict", which looks at each row twice: a stream that is there after all fails the whole batch either way. Sorted,
// so that two processes cannot deadlock.
const INSERT = `
insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
select $1, $2, $3, $4, u.* from unnest($5::text[], $6::bigint[], $7::uuid[]) u (subject, upto, event_id)
order by u.subject`;
const insertName = preparedAs('gate-insert');
// By their place, which stays where it is while the row is locked. The last condition always holds: it makes Postgres expect few rows.
// Knowing how many they are, it reads the whole table instead, until that has some hundred thousand (2 000 of 23 000: 38 instead of 13 ms).
const UPDATE = `
update messaging.inbox_streams s set last_sequence = u.upto, last_event_id = u.event_id
from unnest($1::tid[], $2::bigint[], $3::uuid[], $4::bigint[]) u (at, upto, event_id, was)
where s.ctid = u.at and s.last_sequence = u.was and u.was % 1 = 0`;
const updateName = preparedAs('gate-update');

interface GateRow {
  subject: string;
  /** Where the row lies. */
  at: string;
  last_sequence: string;
  last_event_id: string;
}

export class Gate {
  readonly #streams: Map<string, Stream>;

  /** @param isGuess streams were taken for new; whether they are, {@link write} tells */
  private constructor(
    private readonly inbox: string,
    streams: Map<string, Stream>,
    readonly isGuess: boolean,
  ) {
    this.#streams = streams;
  }

  /**
   * Reads and locks the rows of all streams of `events`.
   *
   * @param trust `firsts`: streams whose first event is among `events` are taken for new without a look, which saves a
   *   third of the gate's cost where most streams are new; `nobody`, after a stale attempt: also looks at rows that
   *   somebody else has locked, instead of taking them for new
   */
  static async open(
    tx: OpenTransaction,
    inbox: string,
    events: readonly LoggedEvent[],
    trust: GateTrust = 'locks',
  ): Promise<Gate> {
    const byKey = new Map<string, Stream>();
    const known: Stream[] = [];
    for (const event of events) {
      if (byKey.has(event.stream)) continue;
      const stream = new Stream(event);
      byKey.set(event.stream, stream);
      stream.isGuessed = trust === 'firsts' && event.sequence === 1;
      if (!stream.isGuessed) known.push(stream);
    }
    await Promise.all(groupsOf(known).map((group) => read(tx, inbox, group, trust)));
    return new Gate(inbox, byKey, known.length < byKey.size);
  }

  /** @throws {@link ForkError} */
  judge(event: LoggedEvent): Verdict {
    const { last, lastEventId } = this.#of(event);
    const isOther = event.id !== lastEventId && lastEventId !== NEVER_ARRIVED;
    if (event.sequence === last && isOther) throw new ForkError(event, lastEventId);
    return this.look(event);
  }

  /** The verdict, without the look for forks. */
  look(event: LoggedEvent): Verdict {
    const { last, held } = this.#of(event);
    if (event.sequence <= last) return sabotaged('no-gate') ? 'next' : 'duplicate';
    if (sabotaged('no-gate') || sabotaged('no-sequence-check')) return 'next';
    return event.sequence === last + 1 && !held ? 'next' : 'ahead';
  }

  /** The event goes through. */
  advance(event: LoggedEvent): void {
    const stream = this.#of(event);
    stream.last = event.sequence;
    stream.lastEventId = event.id;
  }

  /**
   * The event is about to be parked.
   *
   * @throws {@link UnverifiedGuessError} if it is not known whether it was applied before, and nothing that is written would tell
   */
  park(event: LoggedEvent): void {
    const { isGuessed, last, was } = this.#of(event);
    if (isGuessed && last === was) throw new UnverifiedGuessError('a stream was taken for new');
  }

  /** The event does not go through now, and so none of its stream behind it. */
  hold(event: LoggedEvent): void {
    this.#of(event).held = true;
  }

  /** How far the streams are that this transaction has locked: parked copies up to there have had their effect. */
  get passed(): Pick<Stream, 'source' | 'epoch' | 'aggregate' | 'subject' | 'last'>[] {
    return [...this.#streams.values()].filter(({ last, mine }) => mine && last > 0);
  }

  /** The streams whose first events go through. */
  get opened(): string[] {
    const opened: string[] = [];
    for (const [key, { was, last }] of this.#streams) if (was === 0 && last > 0) opened.push(key);
    return opened;
  }

  /** Writes what has advanced. Sent in front of the reactions, so that a stale gate is found before their writes matter. */
  async write(tx: OpenTransaction): Promise<void> {
    const moved = [...this.#streams.values()].filter(({ last, was }) => last > was);
    const known = moved.filter(({ was }) => was > 0);
    const groups = groupsOf(moved.filter(({ was }) => was === 0));
    const written = await Promise.allSettled([
      ...groups.map((fresh) => this.#insert(tx, fresh)),
      known.length === 0 || this.#update(tx, known),
    ]);
    // Whatever stands behind a refused statement fails as well, and says less.
    if (written.some((one) => one.status === 'fulfilled' && !one.value))
      throw new StaleGateError('the gate was moved by somebody else');
    const failed = written.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #insert(tx: OpenTransaction, streams: readonly Stream[]): Promise<boolean> {
    try {
      await tx.query(INSERT, [this.inbox, ...keyOf(streams), ...moves(streams)], insertName());
      return true;
    } catch (error) {
      if (isUniqueViolation(error)) return false;
      throw error;
    }
  }

  async #update(tx: OpenTransaction, streams: readonly Stream[]): Promise<boolean> {
    const places = streams.map(({ at }) => at);
    const values = [places, ...moves(streams), arrayOf(streams.map(({ was }) => was))];
    const { rowCount } = await tx.query(UPDATE, values, updateName());
    return rowCount === streams.length;
  }

  #of(event: LoggedEvent): Stream {
    return this.#streams.get(event.stream)!;
  }
}

/** What may be taken for granted without a look. */
export type GateTrust = 'firsts' | 'locks' | 'nobody';

async function read(tx: OpenTransaction, inbox: string, streams: readonly Stream[], trust: GateTrust): Promise<void> {
  const { rows } = await tx.query<GateRow>(LOCK, [inbox, ...keyOf(streams)], lockName());
  take(streams, rows, false);
  if (trust !== 'nobody') return;
  const missing = streams.filter(({ was }) => was === 0);
  if (missing.length === 0) return;
  const looked = await tx.query<GateRow>(LOOK, [inbox, ...keyOf(missing)]);
  take(missing, looked.rows, true);
}

/** By all of the key but the subject, sorted; nearly always there is one group. */
function groupsOf(streams: readonly Stream[]): Stream[][] {
  const groups = new Map<string, Stream[]>();
  let group: Stream[] | undefined;
  for (const stream of streams) {
    if (!group || !isSameGroup(group[0]!, stream)) {
      const key = `${stream.source} ${stream.epoch} ${stream.aggregate}`;
      group = groups.get(key);
      if (!group) groups.set(key, (group = []));
    }
    group.push(stream);
  }
  return [...groups].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, group]) => group);
}

const isSameGroup = (one: Stream, other: Stream): boolean =>
  one.aggregate === other.aggregate && one.source === other.source && one.epoch === other.epoch;

/** Of a group. */
const keyOf = (streams: readonly Stream[]) => {
  const { source, epoch, aggregate } = streams[0]!;
  return [source, epoch, aggregate, streams.map(({ subject }) => subject)];
};

const moves = (streams: readonly Stream[]) => [
  arrayOf(streams.map(({ last }) => last)),
  arrayOf(streams.map(({ lastEventId }) => lastEventId)),
];

function take(streams: readonly Stream[], rows: readonly GateRow[], held: boolean): void {
  const bySubject = new Map(streams.map((stream) => [stream.subject, stream]));
  for (const row of rows) {
    const stream = bySubject.get(row.subject)!;
    stream.was = stream.last = Number(row.last_sequence);
    stream.at = row.at;
    stream.lastEventId = row.last_event_id;
    stream.held = held;
    stream.mine = !held;
  }
}
