// Statements that travel together: one write, one Sync, one flush of the answers, instead of one of each per statement. The
// system calls are what a short statement costs most (profile of POST /users: a quarter of all CPU in `writev`).
// Rule: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
import type { Duplex } from 'node:stream';
import { DatabaseError, Query, type QueryResult } from 'pg';
// @ts-expect-error it has no types
import pgUtils from 'pg/lib/utils.js';
// @ts-expect-error it has no types
import PgResult from 'pg/lib/result.js';

/** A statement behind a failed one of the same group: Postgres has not looked at it. */
export class StatementSkippedError extends Error {
  override readonly name = 'StatementSkippedError';
  /** As if it had been sent later: "current transaction is aborted". */
  readonly code = '25P02';
  constructor(cause: unknown) {
    super('A statement in front of this one has failed', { cause });
  }
}

/** One statement on its way. */
export interface Statement {
  text: string;
  /** As Postgres takes them. */
  values: (string | Buffer | null)[];
  /** Prepared under this name, once per connection. */
  name: string | undefined;
  /** Called once. */
  settle: (error: Error | undefined, result: QueryResult | undefined) => void;
}

const { prepareValue } = pgUtils as { prepareValue: (value: unknown) => string | Buffer | null };
const Result = PgResult as new () => QueryResult & { addCommandComplete(message: unknown): void };

/** What a statement's values are on the wire; throws if one cannot be sent. */
export const wireValues = (values: readonly unknown[]) =>
  values.map((value) => (Array.isArray(value) ? plainArray(value) : undefined) ?? prepareValue(value));

/** Neither quotes, commas, braces nor spaces, and nothing that could be a NULL. */
const PLAIN = /^(?!null$)[\w.:/@+-]+$/i;

/** A flat array of what needs no quotes, three times faster than the driver, which quotes and escapes every element. */
function plainArray(values: readonly unknown[]): string | undefined {
  for (const value of values) {
    if (typeof value === 'string' ? !PLAIN.test(value) : typeof value !== 'number') return undefined;
  }
  return `{${values.join(',')}}`;
}

/** What pg calls while Postgres answers; not part of its types. */
interface Answer {
  handleRowDescription(message: unknown): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, connection: Wire): void;
  handleReadyForQuery(connection: Wire): void;
}

/** The names of prepared statements that have no rows: Postgres need not describe them, twice per statement, to and fro. */
const rowless = new Set<string>();

interface Wire {
  readonly stream: Duplex;
  readonly parsedStatements: Record<string, string | undefined>;
  readonly submittedNamedStatements: Record<string, string | undefined>;
  parse(message: { name: string | undefined; text: string }): void;
  bind(message: { portal: string; statement: string | undefined; values: unknown[] }): void;
  describe(message: { type: 'P'; name: string }): void;
  execute(message: { portal: string; rows: number }): void;
  sync(): void;
}

/** To its types `submit` is a property, and a method could not take its place. */
const PgQuery = Query as unknown as new (text: string) => Omit<Query, 'submit'>;

/** For `client.query(…)`, which sees one query. Each statement is settled as soon as its own answer is there. */
export class StatementGroup extends PgQuery implements Answer {
  // pg keeps the books of prepared statements by these two: they are those of the statement that is being answered.
  declare name: string | undefined;
  declare text: string | undefined;
  /** pg sets it, to stop its clock. */
  declare callback: ((error?: unknown) => void) | undefined;
  #at = 0;
  /** Of a statement that has rows. */
  #rows: Answer | undefined;

  /** @param onEnd called once Postgres has answered all of it: with what it says of the whole, if that is an error */
  constructor(
    private readonly statements: readonly Statement[],
    private readonly onEnd: (error?: Error) => void = () => {},
  ) {
    super('');
    this.#expect();
  }

  // A method, for V8 takes a function that is written into a property (`this.submit = () => …`) for long-lived, and what it refers to
  // stays until the next large collection: here all events of a batch, copied twice meanwhile (half of the inbox's time; ADR 8).
  submit(connection: unknown): void {
    const wire = connection as Wire;
    wire.stream.cork();
    try {
      for (const statement of this.statements) write(wire, statement);
      wire.sync();
    } finally {
      wire.stream.uncork();
    }
  }

  handleRowDescription(message: unknown): void {
    const settle = this.statements[this.#at]?.settle; // what comes after a time-out is nobody's
    this.#rows = new Query('', settle as never) as unknown as Answer;
    this.#rows.handleRowDescription(message);
  }

  handleDataRow(message: unknown): void {
    this.#rows?.handleDataRow(message);
  }

  handleCommandComplete(message: unknown, connection: Wire): void {
    if (this.#rows) {
      this.#rows.handleCommandComplete(message, connection);
      this.#rows.handleReadyForQuery(connection);
    } else {
      const result = new Result();
      result.addCommandComplete(message);
      if (this.name) rowless.add(this.name);
      this.statements[this.#at]?.settle(undefined, result);
    }
    this.#next();
  }

  handleEmptyQuery(): void {
    this.statements[this.#at]?.settle(undefined, new Result());
    this.#next();
  }

  handleReadyForQuery(): void {
    this.callback?.();
    this.onEnd();
  }

  /** Of the statement that is being answered, or of the connection. Postgres skips the others. */
  handleError(error: Error, connection: Wire): void {
    const isItsOwn = error instanceof DatabaseError;
    const skipped = isItsOwn ? new StatementSkippedError(error) : error;
    for (const [index, { name, settle }] of this.statements.slice(this.#at).entries()) {
      if (name) delete connection.submittedNamedStatements[name]; // it may not have been parsed
      settle(index === 0 ? error : skipped, undefined);
    }
    this.#at = this.statements.length;
    this.callback?.(error);
    this.onEnd(error);
  }

  /** The present statement is answered. */
  #next(): void {
    this.#at++;
    this.#rows = undefined;
    this.#expect();
  }

  #expect(): void {
    const statement = this.statements[this.#at];
    this.name = statement?.name;
    this.text = statement?.text;
  }
}

function write(wire: Wire, { name, text, values }: Statement): void {
  const isKnown = name && (wire.parsedStatements[name] ?? wire.submittedNamedStatements[name]) !== undefined;
  if (!isKnown) {
    wire.parse({ name, text });
    if (name) wire.submittedNamedStatements[name] = text;
  }
  wire.bind({ portal: '', statement: name, values });
  if (!name || !rowless.has(name)) wire.describe({ type: 'P', name: '' });
  wire.execute({ portal: '', rows: 0 });
}
