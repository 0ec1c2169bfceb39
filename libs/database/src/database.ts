// The database of one service. A transaction is committed only if Postgres says COMMIT; everything else is a rollback
// that the caller hears of. A crash leaves nothing half done.
import { setTimeout as sleep } from 'node:timers/promises';
import { currentContext, runInContext, sabotaged } from '@app/context';
import { Kysely, PostgresDialect } from 'kysely';
import type { Pool, PoolConfig } from 'pg';
import { isAftermath, isDatabaseUnavailable, isSerializationFailure } from './errors.js';
import { GroupCommit } from './group-commit.js';
import { closePool, openPool } from './pool.js';
import { Transaction } from './transaction.js';

/** Where the database is and how many connections may be open. */
export interface DatabaseOptions {
  /** `postgres://user:password@host:port/name` */
  url: string;
  /** Shown in `pg_stat_activity`. */
  applicationName: string;
  /** Connections at most; default 16. */
  poolSize?: number;
  /** How long a statement may take, in ms; default 4 000. */
  statementTimeoutMs?: number;
}

/** COMMIT was answered with something else: Postgres rolled back, because a statement had failed. */
export class RolledBackError extends Error {
  override readonly name = 'RolledBackError';
}

/** Deadlocks would take a second, by the default of Postgres. */
const LOCK_TIMEOUT_OF_GROUPS_MS = 20;
/** Attempts at a transaction that met a deadlock or a serialization failure. */
const ATTEMPTS = 3;

/**
 * The settings of every connection. The defaults of Postgres and its driver wait for ever; these make a half-open
 * socket or a lost lock an error. Order: lock < statement < query, so that the server speaks first.
 * A request on a half-open connection fails within 5 s.
 */
export const connectionSettings = ({
  url,
  applicationName,
  statementTimeoutMs = 4_000,
}: DatabaseOptions): PoolConfig => ({
  connectionString: url,
  application_name: applicationName,
  connectionTimeoutMillis: 3_000,
  lock_timeout: 3_000,
  statement_timeout: statementTimeoutMs,
  query_timeout: statementTimeoutMs + 500,
  idle_in_transaction_session_timeout: 30_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000, // by default two hours: an idle connection to a host that is gone would be found by whoever needs it
});

export class Database<Schema = unknown> {
  /** For reads outside of a transaction; every statement commits by itself. */
  readonly read: Kysely<Schema>;
  readonly #pool: Pool;
  /** One connection more, of the groups. */
  readonly #lane: Pool;
  readonly #groups: GroupCommit;

  constructor(readonly options: DatabaseOptions) {
    const settings = { ...connectionSettings(options), pipeline: true };
    this.#pool = openPool({ ...settings, max: options.poolSize ?? 16 });
    this.#lane = openPool({ ...settings, max: 1, lock_timeout: LOCK_TIMEOUT_OF_GROUPS_MS });
    this.#groups = new GroupCommit(this.#lane, this.#pool);
    this.read = new Kysely<Schema>({ dialect: new PostgresDialect({ pool: this.#pool }) });
  }

  /**
   * The open transaction that the running reaction belongs to.
   *
   * @throws Error outside of one.
   */
  get tx(): Transaction<Schema> {
    const { transaction } = currentContext() ?? {};
    if (transaction instanceof Transaction) return transaction as Transaction<Schema>;
    throw new Error('No transaction is open here: use database.transaction(async (tx) => …).');
  }

  /**
   * Runs `work` in a transaction and commits it; if `work` throws or any statement failed, all of it is rolled back
   * and the error is thrown. After a deadlock or a serialization failure `work` runs again (3 attempts), so it must
   * not do anything outside of `tx`. Inside an open transaction it joins that one.
   */
  async transaction<Result>(work: (tx: Transaction<Schema>) => Promise<Result>): Promise<Result> {
    if (currentContext()?.transaction instanceof Transaction) return this.#join(this.tx, work);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(work);
      } catch (error) {
        if (attempt >= ATTEMPTS || !isSerializationFailure(error)) throw error;
        await sleep(Math.random() * 50 * attempt);
      }
    }
  }

  /** Answers when the database does. */
  async ping(): Promise<void> {
    await this.#pool.query('select 1');
  }

  /** Ends its connections; what is still in use then is cut off and rolled back. */
  async close(): Promise<void> {
    await Promise.all([closePool(this.#pool), closePool(this.#lane)]);
  }

  async #join<Result>(tx: Transaction<Schema>, work: (tx: Transaction<Schema>) => Promise<Result>): Promise<Result> {
    try {
      const result = await work(tx);
      await tx.flush(); // what it violates belongs to this work, and whoever called it may tell it apart
      return result;
    } catch (error) {
      tx.doom(error); // what it wrote so far cannot be taken back alone
      throw error;
    }
  }

  #attempt<Result>(work: (tx: Transaction<Schema>) => Promise<Result>): Promise<Result> {
    return runTransaction(new Transaction<Schema>(this.#pool, true, this.#groups), work);
  }
}

/**
 * BEGIN, `work`, COMMIT. The connection is released in any case – and destroyed if its state is unknown.
 *
 * @throws whatever made it roll back; {@link RolledBackError} if Postgres rolled back silently.
 */
export async function runTransaction<Schema, Result>(
  tx: Transaction<Schema>,
  work: (tx: Transaction<Schema>) => Promise<Result>,
): Promise<Result> {
  const context = { ...(currentContext() ?? { correlationId: '' }), transaction: tx };
  let broken: Error | undefined;
  try {
    const result = await runInContext(context, () => work(tx));
    tx.close();
    if (tx.failure && !sabotaged('ignored-commit-tag')) throw tx.failure.cause;
    const command = await tx.commit();
    if (command !== 'COMMIT' && !sabotaged('ignored-commit-tag'))
      throw new RolledBackError('Postgres rolled the transaction back: a statement had failed.');
    tx.committed();
    return result;
  } catch (error) {
    tx.close();
    const culprit = isAftermath(error) && tx.failure ? tx.failure.cause : error;
    broken = await rollBack(tx, culprit);
    throw culprit;
  } finally {
    tx.release(broken);
  }
}

/** Returns the reason to destroy the client, if there is one. */
async function rollBack<Schema>(tx: Transaction<Schema>, culprit: unknown): Promise<Error | undefined> {
  tx.drop();
  if (tx.abandoned) return tx.abandoned;
  if (isDatabaseUnavailable(culprit)) return culprit as Error;
  try {
    await tx.rollback();
    return undefined;
  } catch (error) {
    return error as Error;
  }
}
