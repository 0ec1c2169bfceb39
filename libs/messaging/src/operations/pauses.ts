// What is paused: read from the database once a second and answered from memory. A process that cannot reach its database
// keeps what it knew.
import { EventEmitter, once } from 'node:events';
import { Database } from '@app/database';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { MESSAGING_OPTIONS, type MessagingOptions } from '../options.js';
import { pause as rest } from '../rabbitmq/backoff.js';
import { OperationError, perform, select, type ActionOptions, type Effect } from './operation.js';

const POLL_MS = 1_000;

/** Something that is paused. */
export interface Pause {
  /** `relay`, `inbox:<name>` or `reaction:<ClassName>` */
  scope: string;
  reason: string;
  by: string;
  since: Date;
}

/** The database of operations inside of a service: connections of its own, so that a busy service can be operated. */
@Injectable()
export class OperationsDatabase extends Database {
  constructor(@Inject(MESSAGING_OPTIONS) { databaseUrl: url, service }: MessagingOptions) {
    super({ url, applicationName: `${service} operations`, poolSize: 2 });
  }
}

@Injectable()
export class Pauses extends EventEmitter<{ paused: [string]; resumed: [string] }> {
  readonly #logger = new Logger('Pauses');
  readonly #stopping = new AbortController();
  #pauses = new Map<string, Pause>();
  #running: Promise<void> | undefined;
  #looking = Promise.resolve();

  constructor(private readonly database: OperationsDatabase) {
    super();
    this.setMaxListeners(100);
  }

  /** Why this scope is paused; `undefined`: it is not. */
  isPaused(scope: string): string | undefined {
    const pause = this.#pauses.get(scope);
    return pause && `paused by ${pause.by}: ${pause.reason}`;
  }

  get all(): Pause[] {
    return [...this.#pauses.values()];
  }

  /** Resolves when the state is known, or the database does not answer. */
  async start(): Promise<void> {
    await this.refresh().catch(() => {});
    this.#running ??= this.#poll();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#running, this.database.close()]);
  }

  /** Looks at once. One look at a time, so that an older answer never replaces a newer one. */
  refresh(): Promise<void> {
    this.#looking = this.#looking.catch(() => {}).then(() => this.#look());
    return this.#looking;
  }

  async #look(): Promise<void> {
    const now = new Map((await listPauses(this.database)).map((pause) => [pause.scope, pause]));
    const before = this.#pauses;
    this.#pauses = now;
    for (const [scope, { reason, by }] of now) {
      if (before.has(scope)) continue;
      this.#logger.warn(`${scope} is paused by ${by}: ${reason}`);
      this.emit('paused', scope);
    }
    for (const scope of before.keys()) {
      if (now.has(scope)) continue;
      this.#logger.log(`${scope} goes on`);
      this.emit('resumed', scope);
    }
  }

  /** Resolves at once if `scope` is not paused, else when it goes on; or when `signal` is aborted. */
  async untilResumed(scope: string, signal: AbortSignal): Promise<void> {
    await this.refresh();
    while (this.isPaused(scope) && !signal.aborted) await once(this, 'resumed', { signal }).catch(() => {});
  }

  /** Pauses from inside of the service; in effect here at once. */
  async pause(scope: string, options: ActionOptions): Promise<void> {
    await insert(this.database, scope, options);
    await this.refresh();
  }

  async #poll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await rest(POLL_MS, this.#stopping.signal);
      if (!this.#stopping.signal.aborted) await this.refresh().catch(() => {});
    }
  }
}

/** What is paused, the oldest first. */
export const listPauses = (database: Database): Promise<Pause[]> =>
  select(database, 'select scope, reason, by, since from messaging.pauses order by since, scope');

/**
 * Pauses `scope`; every process of the service notices within a second or two. Pausing what is paused changes nothing.
 *
 * @throws {@link OperationError} if there is no such scope, or no reason is given
 */
export async function pauseScope(database: Database, scope: string, options: ActionOptions): Promise<Effect> {
  if (!options.operator.reason) throw new OperationError('invalid', 'Say why: others will ask (--reason "…").');
  await requireScope(database, scope);
  return insert(database, scope, options);
}

const insert = (database: Database, scope: string, options: ActionOptions): Promise<Effect> =>
  perform(database, 'pause', { scope }, options, async (tx) => {
    const { who, reason = '' } = options.operator;
    const { rowCount } = await tx.query(
      'insert into messaging.pauses (scope, reason, by) values ($1, $2, $3) on conflict do nothing',
      [scope, reason, who],
    );
    return { affected: rowCount ?? 0 };
  });

/** @throws {@link OperationError} if it is not paused */
export async function resumeScope(database: Database, scope: string, options: ActionOptions): Promise<Effect> {
  return perform(database, 'resume', { scope }, options, async (tx) => {
    const { rowCount } = await tx.query('delete from messaging.pauses where scope = $1', [scope]);
    if (rowCount === 0) throw new OperationError('not-found', `"${scope}" is not paused.`);
    return { affected: 1 };
  });
}

/** Everything that can be paused in this service. */
export async function scopes(database: Database): Promise<string[]> {
  const rows = await select<{ scope: string }>(
    database,
    `select 'inbox:' || inbox as scope from messaging.reactions union select 'inbox:' || inbox from messaging.inbox_sources
     union select distinct 'reaction:' || reaction from messaging.reactions order by 1`,
  );
  return ['relay', ...rows.map(({ scope }) => scope)];
}

async function requireScope(database: Database, scope: string): Promise<void> {
  const known = await scopes(database);
  if (known.includes(scope)) return;
  throw new OperationError('invalid', `There is no "${scope}" here. What can be paused: ${known.join(', ')}`);
}
