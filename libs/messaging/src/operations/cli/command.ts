import type { Database } from '@app/database';
import type { ActionOptions } from '../operation.js';

export interface Option {
  type: 'string' | 'boolean';
  /** What stands for the value in the help: `--limit <n>`. */
  value?: string;
  help: string;
}

/** One command of `npm run events`. */
export interface Command {
  /** `parked list` */
  name: string;
  /** What it does, in one line. */
  summary: string;
  /** `<id>`, `[<id>…]`, in order. */
  args?: string;
  /** How many arguments it takes. */
  arity?: [least: number, most: number];
  options?: Record<string, Option>;
  /** More about it, for `--help`. */
  details?: string;
  /** `each`: reads, from every service unless one is named; `one`: needs one; `none`: no database. */
  scope: 'each' | 'one' | 'none';
  /** Changes something: takes `--dry-run`, `--yes`, `--reason`. */
  acts?: boolean;
  run(context: Context): Promise<Output | undefined>;
}

/** What a command has to say, for programs and for people. */
export interface Output {
  json: object;
  text: string;
  /** It did what it could, but not everything. */
  incomplete?: boolean;
}

/** What a command works with. */
export interface Context {
  service: string;
  database: Database;
  /** The database of another service, if it is known where it is. */
  databaseOf: (service: string) => Database | undefined;
  rabbitmqUrls: readonly string[];
  args: readonly string[];
  text: (option: string) => string | undefined;
  flag: (option: string) => boolean;
  action: ActionOptions;
  json: boolean;
  /** @throws {@link DeclinedError} unless the operator says yes, now or with `--yes` */
  confirm: (question: string) => Promise<void>;
  print: (line: string) => void;
  signal: AbortSignal;
}

/** The command line makes no sense; the message says what would. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Somebody had to be asked and did not say yes. */
export class DeclinedError extends Error {
  override readonly name = 'DeclinedError';
}

/** A whole number, above 0 unless it may be 0. */
export function numberOf(text: string, what: string, from: 0 | 1 = 1): number {
  if (/^(0|[1-9]\d{0,14})$/.test(text) && Number(text) >= from) return Number(text);
  throw new UsageError(`${what} must be a whole number from ${from} on, not "${text}".`);
}
