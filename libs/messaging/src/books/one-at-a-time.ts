import type { QueryResult, QueryResultRow } from 'pg';

/** Whoever runs statements: a pool, or one connection of it. */
export interface Statements {
  query<Row extends QueryResultRow>(sql: string, values: unknown[]): Promise<QueryResult<Row>>;
}

/**
 * Runs the statements of many one after the other, whoever they come from, so that they never take more than one connection of a
 * pool that others need too.
 */
export class OneAtATime implements Statements {
  #last: Promise<unknown> = Promise.resolve();

  constructor(private readonly statements: Statements) {}

  query<Row extends QueryResultRow>(sql: string, values: unknown[]): Promise<QueryResult<Row>> {
    const result = this.#last.then(() => this.statements.query<Row>(sql, values));
    this.#last = result.catch(() => {});
    return result;
  }
}
