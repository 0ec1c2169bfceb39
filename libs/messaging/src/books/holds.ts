// Logs that contradict what was applied here. Nothing of them is applied until somebody resolves it: applying them would
// make two histories of one thing.
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';

/**
 * What is dropped of a life `h` that is closed: parked events `p` that the books would miss if it were opened again. What they have
 * counted as parked in a page that balances stays parked, for it would never be pulled.
 */
export const DROPPED = `
p.inbox = h.inbox and p.source = h.source and p.epoch = h.epoch and not exists (
  select from messaging.inbox_books b
  where (b.inbox, b.source, b.epoch, b.aggregate) = (p.inbox, p.source, p.epoch, p.aggregate) and p.page <= b.balanced_page
    and not exists (
      select from messaging.inbox_gaps g
      where (g.inbox, g.source, g.epoch, g.aggregate, g.page) = (p.inbox, p.source, p.epoch, p.aggregate, p.page)))`;

// While a life of a log is being closed, an inbox that does not know it yet may still park events of it: so several times after
// that, then now and then, because what has to stay is looked at each time.
const DROP = `
delete from messaging.parked_events where id in (
  select p.id from messaging.parked_events p, messaging.inbox_holds h
  where h.inbox = $1 and h.closed_at is not null and ${DROPPED} limit 1000)`;
const CLOSING_MS = 30_000;
const DROP_EVERY_MS = 60_000;

export class Holds {
  readonly #logger = new Logger('Books');
  #reasons = new Map<string, string>();
  /** An operator has closed them. */
  #closed = new Set<string>();
  /** How many were added here: what was read before may not know the latest. */
  #added = 0;
  /** Until then something may still be parked of what was closed. */
  #closingUntil = 0;
  #dropAt = 0;

  constructor(
    private readonly inbox: string,
    private readonly pool: Pool,
  ) {}

  /** Why events of this log are not applied; `undefined`: they are. Answered from memory. */
  reasonFor(source: string, epoch: string): string | undefined {
    return this.#reasons.size === 0 ? undefined : this.#reasons.get(`${source} ${epoch}`);
  }

  /** Whether an operator has closed this life of a log, so that its events are dropped. Answered from memory. */
  isClosed(source: string, epoch: string): boolean {
    return this.#closed.size > 0 && this.#closed.has(`${source} ${epoch}`);
  }

  /** Every log that is held and waits for a decision, with the reason. */
  get all(): ReadonlyMap<string, string> {
    return new Map([...this.#reasons].filter(([log]) => !this.#closed.has(log)));
  }

  /** The lives of a log that are held. */
  epochsOf(source: string): string[] {
    return [...this.#reasons.keys()].filter((key) => key.startsWith(`${source} `)).map((key) => key.split(' ')[1]!);
  }

  async hold(source: string, epoch: string, reason: string): Promise<void> {
    if (this.reasonFor(source, epoch)) return;
    this.#logger.error(`${source} is held: ${reason}. Its owner starts a new epoch: npm run events -- log new-epoch`);
    await this.pool.query(
      'insert into messaging.inbox_holds (inbox, source, epoch, reason) values ($1, $2, $3, $4) on conflict do nothing',
      [this.inbox, source, epoch, reason],
    );
    this.#added++;
    this.#reasons.set(`${source} ${epoch}`, reason);
  }

  /** Reads what other processes and operators have decided. */
  async refresh(): Promise<void> {
    const added = this.#added;
    const { rows } = await this.pool.query<{ log: string; reason: string; closed: boolean }>(
      `select source || ' ' || epoch as log, reason, closed_at is not null as closed
       from messaging.inbox_holds where inbox = $1`,
      [this.inbox],
    );
    if (this.#added !== added) return this.refresh();
    this.#reasons = new Map(rows.map(({ log, reason }) => [log, reason]));
    const closed = new Set(rows.flatMap((row) => (row.closed ? [row.log] : [])));
    if ([...closed].some((log) => !this.#closed.has(log))) this.#closingUntil = performance.now() + CLOSING_MS;
    this.#closed = closed;
    if (closed.size > 0) await this.#drop();
  }

  /** Never throws: it is done again, and nothing depends on it. */
  async #drop(): Promise<void> {
    const now = performance.now();
    if (now > this.#closingUntil && now < this.#dropAt) return;
    this.#dropAt = now + DROP_EVERY_MS;
    try {
      await this.pool.query(DROP, [this.inbox]);
    } catch (error) {
      this.#logger.warn(`parked events of closed logs could not be dropped: ${(error as Error).message}`);
    }
  }
}
