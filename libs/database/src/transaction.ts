// One open transaction. Its handle works while the transaction is open and throws afterwards, so that a forgotten
// `await` fails loudly instead of writing outside of the transaction. A crash rolls everything back.
import { Logger } from '@nestjs/common';
import {
  DefaultConnectionProvider,
  DefaultQueryExecutor,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type Compilable,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type KyselyProps,
  type QueryResult as KyselyResult,
} from 'kysely';
import type { Pool, QueryResult, QueryResultRow } from 'pg';
import { isAftermath } from './errors.js';
import { GROUP, type GroupCommit } from './group-commit.js';
import { Lease } from './lease.js';
import { preparedAs } from './prepared.js';
import { StatementGroup, StatementSkippedError, wireValues, type Statement } from './statement-group.js';

/** A statement was started after its transaction had ended, nearly always because an `await` is missing. */
export class TransactionClosedError extends Error {
  override readonly name = 'TransactionClosedError';
  constructor(sql: string) {
    super(`The transaction has ended; is an "await" missing in front of this statement? ${sql.slice(0, 120)}`);
  }
}

/** Errors of statements. */
const ofStatements = new WeakSet<object>();

/**
 * Whether `error` is what a statement of a transaction failed with: whoever hears of it, or nobody, that transaction is rolled back.
 */
export const isOfStatement = (error: unknown): boolean =>
  error instanceof TransactionClosedError || (typeof error === 'object' && error !== null && ofStatements.has(error));

const logger = new Logger('Database');
const openTransaction = Symbol('open transaction');

/**
 * What a library needs of a transaction. Only a {@link Transaction} has it, so that the compiler refuses a call
 * outside of one.
 */
export interface OpenTransaction {
  readonly [openTransaction]: true;
  /** Runs one statement in the transaction. */
  query<Row extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    name?: string,
  ): Promise<QueryResult<Row>>;
  /**
   * Runs one statement together with the next one, at the latest with COMMIT: it has no round trip of its own. If it fails,
   * the transaction does.
   *
   * @param onResult called with what it gave, before what {@link afterCommit} was told
   */
  queryLater<Row extends QueryResultRow>(
    text: string,
    values: readonly unknown[],
    name?: string,
    onResult?: (result: QueryResult<Row>) => void,
  ): void;
  /** Runs `work` once the transaction is committed for sure; never after a rollback. */
  afterCommit(work: () => void): void;
}

/** So many statements do not wait for more: Postgres works on them while the reactions behind them are called. */
const ENOUGH = 32;
const BEGIN = { text: 'BEGIN', values: [], name: 'begin' };

/** The query builder of one open transaction. Made by `Database.transaction`, never by hand. */
export class Transaction<Schema = unknown> extends Kysely<Schema> implements OpenTransaction {
  readonly [openTransaction] = true;
  readonly #lease: Lease;
  readonly #prepare: boolean;
  readonly #groups: GroupCommit | undefined;
  readonly #afterCommit: (() => void)[] = [];
  /** Not sent yet. */
  readonly #waiting: Statement[] = [];
  /** Nobody has waited for these. */
  #later: Promise<unknown>[] = [];
  #isDue = false;
  #isBegun = false;
  /** Why the connection must not be used again, if so. */
  abandoned: Error | undefined;
  #open = true;
  #failure: { cause: unknown } | undefined;

  /**
   * @param pool takes a connection of it with its first statement
   * @param prepare name the statements, so that Postgres plans each of them once per connection
   * @param groups commits it if nothing was sent by then; without, it is begun and committed for itself
   */
  constructor(pool: Pool, prepare = false, groups?: GroupCommit) {
    super(builderOf(() => this, prepare));
    this.#lease = new Lease(pool);
    this.#prepare = prepare;
    this.#groups = groups;
  }

  async query<Row extends QueryResultRow = QueryResultRow>(
    text: string,
    values: readonly unknown[] = [],
    name?: string,
  ): Promise<QueryResult<Row>> {
    if (!this.#open) throw new TransactionClosedError(text);
    try {
      const result = this.#enqueue(text, values, name);
      this.#sendSoon();
      return (await result) as QueryResult<Row>;
    } catch (error) {
      if (error instanceof Error) Error.captureStackTrace(error); // of the caller, not of the socket
      throw error;
    }
  }

  queryLater<Row extends QueryResultRow>(
    text: string,
    values: readonly unknown[],
    name?: string,
    onResult: (result: QueryResult<Row>) => void = () => {},
  ): void {
    if (!this.#open) throw new TransactionClosedError(text);
    const done = this.#enqueue(text, values, name);
    done.then(onResult as (result: QueryResult) => void, () => {}); // COMMIT tells it
    this.#later.push(done);
  }

  /**
   * {@link queryLater} for a query that was built: `tx.executeLater(tx.insertInto('users').values(user))`. A command whose
   * writes all go like this takes one round trip, BEGIN and COMMIT included, and shares it with others under load. What a
   * statement violates is thrown by `database.transaction`, also by one that has joined.
   */
  executeLater(query: Compilable): void {
    const { sql, parameters } = query.compile();
    this.queryLater(sql, parameters, this.#prepare ? statementName(sql) : undefined);
  }

  afterCommit(work: () => void): void {
    this.#afterCommit.push(work);
  }

  /** From now on it can only roll back, even if the caller catches the error. The first real culprit is kept. */
  doom(cause: unknown): void {
    if (!this.#failure || isAftermath(this.#failure.cause)) this.#failure = { cause };
  }

  /** What doomed it, if anything did. */
  get failure(): { cause: unknown } | undefined {
    return this.#failure;
  }

  /** Work that was given up may still send statements: nothing is committed and the connection is destroyed. */
  abandon(cause: Error): void {
    this.doom(cause);
    this.abandoned = cause;
  }

  /** Ends the handle; what was started before still belongs to the transaction. */
  close(): void {
    this.#open = false;
  }

  /** Commits, for its owner. Resolves with Postgres's answer: after a failed statement COMMIT "succeeds" as `ROLLBACK`. */
  async commit(): Promise<string> {
    const isWhole = this.#lease.isUntouched && this.#waiting.length <= GROUP;
    if (isWhole && this.#waiting.length === 0) return 'COMMIT';
    if (isWhole && this.#groups) {
      await this.#groups.commit(this.#waiting.splice(0));
      return 'COMMIT';
    }
    const done = this.#enqueue('COMMIT', [], 'commit');
    this.#send();
    return (await done).command;
  }

  /**
   * Runs what was to be run later now.
   *
   * @throws whatever made one of these statements fail, or the transaction before
   */
  async flush(): Promise<void> {
    const later = this.#later;
    this.#later = [];
    if (later.length === 0) return;
    this.#send();
    await Promise.allSettled(later);
    if (this.#failure) throw this.#failure.cause;
  }

  /** Drops what was not sent yet: it will not be. */
  drop(): void {
    this.#refuse(new StatementSkippedError(this.#failure?.cause));
  }

  /** Rolls back, for its owner, unless there is nothing to roll back. */
  async rollback(): Promise<void> {
    if (this.#isBegun) await this.#lease.client?.query('ROLLBACK');
  }

  /** Gives its connection back, for its owner. @param broken why nobody must use it again, if so */
  release(broken: Error | undefined): void {
    this.#lease.release(broken);
  }

  /** Called by its owner after COMMIT was confirmed. */
  committed(): void {
    for (const work of this.#afterCommit) {
      try {
        work();
      } catch (error) {
        // Nothing is undone by it: whoever hears of a failure would do again what is done.
        logger.error('What was to follow a commit has failed', error);
      }
    }
  }

  #enqueue(text: string, values: readonly unknown[], name: string | undefined): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const settle: Statement['settle'] = (error, result) => {
        if (!error) return resolve(result!);
        this.doom(error);
        ofStatements.add(error);
        reject(error);
      };
      try {
        this.#waiting.push({ text, values: wireValues(values), name, settle });
      } catch (error) {
        settle(error as Error, undefined);
      }
    });
  }

  /** When everybody who is about to start a statement has done so: reactions that overlap, `Promise.all`. */
  #sendSoon(): void {
    if (this.#waiting.length >= ENOUGH) return this.#send();
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => process.nextTick(() => this.#send())); // a tick runs when no microtask is left
  }

  #send(): void {
    this.#isDue = false;
    if (this.#waiting.length === 0) return;
    const { client } = this.#lease;
    if (!client) {
      this.#lease.take(
        () => this.#send(),
        (error) => this.#refuse(error),
      );
      return;
    }
    if (!this.#isBegun) this.#waiting.unshift({ ...BEGIN, settle: (error) => error && this.doom(error) });
    this.#isBegun = true;
    while (this.#waiting.length > 0) client.query(new StatementGroup(this.#waiting.splice(0, GROUP)));
  }

  #refuse(error: Error): void {
    for (const { settle } of this.#waiting.splice(0)) settle(error, undefined);
  }
}

// Without state of a transaction, and dear: a compiler makes a hundred bound functions, 5 kB of garbage per transaction.
const adapter = new PostgresAdapter();
const compiler = new PostgresQueryCompiler();

/** Kysely, sent to the client of one transaction: no mutex, so that the statements of overlapping reactions travel together. */
function builderOf(transaction: () => OpenTransaction, prepare: boolean): KyselyProps {
  const run: Run = async <Row>({ sql, parameters }: CompiledQuery): Promise<KyselyResult<Row>> => {
    const name = prepare ? statementName(sql) : undefined;
    const result = await transaction().query<QueryResultRow>(sql, parameters, name);
    return {
      rows: result.rows as Row[],
      ...(result.command !== 'SELECT' && { numAffectedRows: BigInt(result.rowCount ?? 0) }),
    };
  };
  const driver = new TransactionDriver(run);
  const dialect: Dialect = {
    createAdapter: () => adapter,
    createQueryCompiler: () => compiler,
    createIntrospector: (db) => new PostgresIntrospector(db),
    createDriver: () => driver,
  };
  return { config: { dialect }, dialect, driver, executor: new TransactionExecutor(driver, run) };
}

type Run = <Row>(query: CompiledQuery) => Promise<KyselyResult<Row>>;

/** Without the driver, which would cost a statement ten promises. */
class TransactionExecutor extends DefaultQueryExecutor {
  constructor(
    driver: Driver,
    override readonly executeQuery: Run,
  ) {
    super(compiler, adapter, new DefaultConnectionProvider(driver));
  }
}

/** For what does not ask the executor: plugins, and what is refused inside of a transaction. */
class TransactionDriver implements Driver {
  readonly #connection: DatabaseConnection;
  readonly beginTransaction = nested;
  readonly commitTransaction = nested;
  readonly rollbackTransaction = nested;

  constructor(executeQuery: Run) {
    const streamQuery = () => {
      throw new Error('Streaming is not supported inside a transaction; page through the rows instead.');
    };
    this.#connection = { executeQuery, streamQuery };
  }

  acquireConnection(): Promise<DatabaseConnection> {
    return Promise.resolve(this.#connection);
  }

  async init(): Promise<void> {}
  async destroy(): Promise<void> {}
  async releaseConnection(): Promise<void> {}
}

const nested = () => Promise.reject(new Error('Already in a transaction: use the "tx" that you were given.'));

// Bounded, because `in (…)` lists make endless texts and Postgres never frees a prepared statement.
const names = new Map<string, () => string>();
function statementName(sql: string): string | undefined {
  let name = names.get(sql);
  if (!name && names.size < 200) names.set(sql, (name = preparedAs(`s${names.size}`, 3)));
  return name?.();
}
