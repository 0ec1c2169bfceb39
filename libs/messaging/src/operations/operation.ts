// What an operator does is written down in the transaction that does it: a crash leaves both, or neither.
import { isContention, type Database, type Transaction } from '@app/database';
import { CompiledQuery } from 'kysely';

/** Who acts, and why. */
export interface Operator {
  /** `alice@host`, or the part of the system that acted by itself. */
  who: string;
  reason?: string | undefined;
}

/** How an action is carried out. */
export interface ActionOptions {
  operator: Operator;
  /** Does everything, reports what it would change, and rolls it back. */
  dryRun?: boolean | undefined;
}

/** The action is refused; the message says what to do instead. */
export class OperationError extends Error {
  override readonly name = 'OperationError';
  constructor(
    readonly kind: 'not-found' | 'conflict' | 'invalid',
    message: string,
  ) {
    super(message);
  }
}

/** What an action changed: rows, events, queues. */
export interface Effect {
  affected: number;
}

class Rehearsed extends Error {
  constructor(readonly effect: Effect) {
    super('rehearsed');
  }
}

/**
 * Runs `work` in a transaction together with its line in `messaging.audit`. Nothing changed: no line.
 *
 * @throws {@link OperationError} if somebody else holds what it needs
 */
export async function perform<Result extends Effect>(
  database: Database,
  action: string,
  parameters: object,
  { operator, dryRun }: ActionOptions,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  try {
    return await database.transaction(async (tx) => {
      const result = await work(tx);
      if (dryRun) throw new Rehearsed(result);
      if (result.affected > 0) await audit(tx, { ...operator, action, parameters, affected: result.affected });
      return result;
    });
  } catch (error) {
    if (error instanceof Rehearsed) return error.effect as Result;
    if (isContention(error)) throw new OperationError('conflict', 'It is being worked on right now; try again.');
    throw error;
  }
}

interface Entry extends Operator {
  action: string;
  parameters: object;
  affected: number;
}

/** Writes one line of the audit. */
export async function audit(tx: Transaction, { who, action, parameters, affected, reason }: Entry): Promise<void> {
  await tx.query(
    `insert into messaging.audit (who, action, parameters, affected, reason) values ($1, $2, $3, $4, $5)`,
    [who, action, JSON.stringify(parameters), affected, reason ?? null],
  );
}

export interface AuditLine {
  id: string;
  at: Date;
  who: string;
  action: string;
  parameters: Record<string, unknown>;
  affected: number;
  reason: string | null;
}

/** What was done, newest first. */
export async function listAudit(database: Database, { limit = 50 } = {}): Promise<AuditLine[]> {
  return select<AuditLine>(database, 'select * from messaging.audit order by id desc limit $1', [limit]);
}

/** One read. */
export async function select<Row extends object>(
  database: Database,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const { rows } = await database.read.executeQuery<Row>(CompiledQuery.raw(sql, [...values]));
  return rows;
}
