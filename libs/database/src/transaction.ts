// One open transaction. Its handle works while the transaction is open and throws afterwards, so that a forgotten
// `await` fails loudly instead of writing outside of the transaction. A crash rolls everything back.
import {
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type Compilable,
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult as KyselyResult,
} from 'kysely';
import type { ClientBase, QueryResult, QueryResultRow } from 'pg';
import { isAftermath } from './errors.js';
import { preparedAs } from './prepared.js';
import { StatementGroup, StatementSkippedError, wireValues, type Statement } from './statement-group.js';

/** A statement was started after its transaction had ended, nearly always because an `await` is missing. */
export class TransactionClosedError extends Error {
  override readonly name = 'TransactionClosedError';
  constructor(sql: string) {
    super(`The transaction has ended; is an "await" missing in front of this statement? ${sql.slice(0, 120)}`);
  }
}

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
   */
  queryLater(text: string, values: readonly unknown[], name?: string): void;
  /** Runs `work` once the transaction is committed for sure; never after a rollback. */
  afterCommit(work: () => void): void;
}

const BEGIN = { text: 'BEGIN', values: [], name: 'begin' };

/** Statements that share one answer. More would keep the driver writing while Postgres waits, and the other way round. */
const GROUP = 100;

/** The query builder of one open transaction. Made by `Database.transaction`, never by hand. */
export class Transaction<Schema = unknown> extends Kysely<Schema> implements OpenTransaction {
  readonly [openTransaction] = true;
  readonly #client: ClientBase;
  readonly #prepare: boolean;
  readonly #afterCommit: (() => void)[] = [];
  /** Not sent yet. */
  readonly #waiting: Statement[] = [];
  /** Nobody has waited for these. */
  #later: Promise<unknown>[] = [];
  #isDue = false;
  #state: 'new' | 'begun' | 'whole' = 'new';
  /** Why the connection must not be used again, if so. */
  abandoned: Error | undefined;
  #open = true;
  #failure: { cause: unknown } | undefined;

  /** `prepare`: name the statements, so that Postgres plans each of them once per connection. */
  constructor(client: ClientBase, prepare = false) {
    super({ dialect: new TransactionDialect(() => this, prepare) });
    this.#client = client;
    this.#prepare = prepare;
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

  queryLater(text: string, values: readonly unknown[], name?: string): void {
    if (!this.#open) throw new TransactionClosedError(text);
    const done = this.#enqueue(text, values, name);
    done.catch(() => {}); // COMMIT tells it
    this.#later.push(done);
  }

  /**
   * {@link queryLater} for a query that was built: `tx.executeLater(tx.insertInto('users').values(user))`. A command whose
   * writes all go like this takes one round trip, BEGIN and COMMIT included. What a statement violates is thrown by
   * `database.transaction`, also by one that has joined.
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
    if (this.#state === 'new' && this.#waiting.length <= GROUP) return this.#commitWhole();
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
    const skipped = new StatementSkippedError(this.#failure?.cause);
    for (const { settle } of this.#waiting.splice(0)) settle(skipped, undefined);
  }

  /** Rolls back, for its owner, unless there is nothing to roll back. */
  async rollback(): Promise<void> {
    if (this.#state === 'begun') await this.#client.query('ROLLBACK');
  }

  /** Called by its owner after COMMIT was confirmed. */
  committed(): void {
    for (const work of this.#afterCommit) work();
  }

  #enqueue(text: string, values: readonly unknown[], name: string | undefined): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const settle: Statement['settle'] = (error, result) => {
        if (!error) return resolve(result!);
        this.doom(error);
        reject(error);
      };
      try {
        this.#waiting.push({ text, values: wireValues(values), name, settle });
      } catch (error) {
        settle(error as Error, undefined);
      }
    });
  }

  /**
   * Nothing was sent so far: what Postgres gets between two `Sync`s is one transaction, committed or rolled back at the second.
   * Rule: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
   */
  async #commitWhole(): Promise<string> {
    this.#state = 'whole';
    if (this.#waiting.length > 0) {
      await new Promise<void>((resolve, reject) => {
        const end = (error?: Error) => (error ? reject(error) : resolve());
        this.#client.query(new StatementGroup(this.#waiting.splice(0), end));
      });
    }
    return 'COMMIT';
  }

  /** When everybody who is about to start a statement has done so: reactions that overlap, `Promise.all`. */
  #sendSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => process.nextTick(() => this.#send())); // a tick runs when no microtask is left
  }

  #send(): void {
    this.#isDue = false;
    if (this.#waiting.length === 0) return;
    if (this.#state === 'new') this.#waiting.unshift({ ...BEGIN, settle: (error) => error && this.doom(error) });
    this.#state = 'begun';
    while (this.#waiting.length > 0) this.#client.query(new StatementGroup(this.#waiting.splice(0, GROUP)));
  }
}

/** Kysely, sent to the client of one transaction: no mutex, so that the statements of overlapping reactions travel together. */
class TransactionDialect implements Dialect {
  constructor(
    private readonly transaction: () => OpenTransaction,
    private readonly prepare: boolean,
  ) {}
  createAdapter = () => new PostgresAdapter();
  createQueryCompiler = () => new PostgresQueryCompiler();
  createIntrospector = (db: Kysely<unknown>) => new PostgresIntrospector(db);
  createDriver(): Driver {
    const connection: DatabaseConnection = {
      executeQuery: async <Row>({ sql, parameters }: CompiledQuery): Promise<KyselyResult<Row>> => {
        const name = this.prepare ? statementName(sql) : undefined;
        const result = await this.transaction().query<QueryResultRow>(sql, parameters, name);
        return {
          rows: result.rows as Row[],
          ...(result.command !== 'SELECT' && { numAffectedRows: BigInt(result.rowCount ?? 0) }),
        };
      },
      streamQuery: () => {
        throw new Error('Streaming is not supported inside a transaction; page through the rows instead.');
      },
    };
    const nested = () => Promise.reject(new Error('Already in a transaction: use the "tx" that you were given.'));
    return {
      init: () => Promise.resolve(),
      destroy: () => Promise.resolve(),
      acquireConnection: () => Promise.resolve(connection),
      releaseConnection: () => Promise.resolve(),
      beginTransaction: nested,
      commitTransaction: nested,
      rollbackTransaction: nested,
    };
  }
}

// Bounded, because `in (…)` lists make endless texts and Postgres never frees a prepared statement.
const names = new Map<string, () => string>();
function statementName(sql: string): string | undefined {
  let name = names.get(sql);
  if (!name && names.size < 200) names.set(sql, (name = preparedAs(`s${names.size}`, 3)));
  return name?.();
}
