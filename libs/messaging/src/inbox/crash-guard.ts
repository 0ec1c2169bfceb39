// Events that were delivered again and again: perhaps one of them kills the process. Each is applied alone, and the
// attempt is written down, committed, before its reaction runs. The culprit ends up parked, its neighbours do not.
import type { Pool } from 'pg';
import type { Applier } from './applier.js';
import type { Failure, Item } from './item.js';

/** Attempts that ended neither well nor badly: the process died meanwhile. */
const MAX_CRASHES = 2;

const BEGIN_ATTEMPT = `
insert into messaging.inbox_attempts as a (inbox, event_id, attempts) values ($1, $2, 1)
on conflict (inbox, event_id) do update set attempts = a.attempts + 1 returning attempts`;
const FORGET = 'delete from messaging.inbox_attempts where inbox = $1 and event_id = $2';

export class CrashGuard {
  constructor(
    private readonly inbox: string,
    private readonly pool: Pool,
    private readonly applier: Applier,
    private readonly limitMs: number,
  ) {}

  async applyOneByOne(items: readonly Item[]): Promise<void> {
    for (const item of items) {
      const key = [this.inbox, item.envelope.id];
      const { rows } = await this.pool.query<{ attempts: number }>(BEGIN_ATTEMPT, key);
      const crashes = rows[0]!.attempts - 1;
      const failures = new Map<Item, Failure>();
      if (crashes >= MAX_CRASHES) {
        failures.set(item, {
          state: 'retry',
          error: `${crashes} processes died while they applied this event`,
          counts: true,
        });
      }
      await this.applier.apply([item], this.limitMs, failures);
      await this.pool.query(FORGET, key);
    }
  }
}
