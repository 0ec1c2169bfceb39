// Tells apart what Postgres and its driver report: try again at once, try again when the database is back, or a real error.

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : '');

/** Another transaction was in the way (40001 serialization failure, 40P01 deadlock): the same work may succeed at once. */
export const isSerializationFailure = (error: unknown): boolean => ['40001', '40P01'].includes(codeOf(error));

/** Nobody's fault: a lock or statement time-out (55P03, 57014), a deadlock or a serialization failure. */
export const isContention = (error: unknown): boolean =>
  isSerializationFailure(error) || ['55P03', '57014'].includes(codeOf(error));

/** A unique index refused the row. `constraint` narrows it to one index. */
export const isUniqueViolation = (error: unknown, constraint?: string): boolean =>
  codeOf(error) === '23505' &&
  (constraint === undefined || (error as { constraint?: string }).constraint === constraint);

// pg has no codes for what the driver itself finds out.
const DRIVER_MESSAGES =
  /Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client was closed|not queryable|Client has encountered a connection error|Cannot use a pool after calling end/i;
const NETWORK_CODES = /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)$/;
// 08: connection; 57P0x: shutting down or starting; 53: out of disk, memory or connections; 25P03, 25P04: a transaction was idle, or open, for too long.
const SERVER_CODES = /^(08|57P0|53|25P0[34])/;

/** The database is away, restarting, full or unreachable: nothing that the statement did caused it. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isDatabaseUnavailable);
  const code = codeOf(error);
  // A statement with a parameter too many, unless the connection ends with it: poolers say so of their own limits.
  if (code === '08P01' && (error as { severity?: string }).severity === 'ERROR') return false;
  return SERVER_CODES.test(code) || NETWORK_CODES.test(code) || DRIVER_MESSAGES.test(messageOf(error));
}

/** A statement behind a failed one (25P02), or one whose named plan vanished with it (26000): not the culprit. */
export const isAftermath = (error: unknown): boolean => ['25P02', '26000'].includes(codeOf(error));
