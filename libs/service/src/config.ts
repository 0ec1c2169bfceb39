// A service starts with a configuration that is right as a whole, or not at all: everything that is wrong is said at once.
import { readFileSync } from 'node:fs';

import { prefixOf, variablesOf, type Role, type ServiceDefaults, type Variable } from './variables.js';

/**
 * The configuration of one process. An abstract class, so that it is also its own token: `constructor(config: ServiceConfig)`.
 * A service with variables of its own extends it, and provides the extension with `useExisting: ServiceConfig`.
 */
export abstract class ServiceConfig {
  abstract readonly service: string;
  abstract readonly port: number;
  abstract readonly host: string;
  abstract readonly databaseUrl: string;
  abstract readonly databasePoolSize: number;
  abstract readonly rabbitmqUrls: string[];
  abstract readonly roles: ReadonlySet<Role>;
  abstract readonly booksIntervalMs: number;
  /** `undefined`: /ops is closed. */
  abstract readonly opsToken: string | undefined;
  abstract readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
  abstract readonly logFormat: 'auto' | 'pretty' | 'json';
  abstract readonly shutdownTimeoutMs: number;
}

/** One line of the table that `ConfigurationError` shows. */
export interface ConfigurationProblem {
  variable: string;
  value: string;
  problem: string;
  remedy: string;
}

/** Thrown by `loadConfig`; its message is a table of everything that is wrong, without secrets. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';

  constructor(
    service: string,
    readonly problems: ConfigurationProblem[],
  ) {
    super(
      `The configuration of ${service} is wrong:\n\n${table(problems)}\n\nEvery variable is explained in .env.example.`,
    );
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads and checks the environment variables of `service`; a secret may also come from the file that `<NAME>_FILE` names.
 * Absent and empty are the same. Throws `ConfigurationError` with everything that is wrong.
 */
export function loadConfig(service: string, defaults: ServiceDefaults, env: Environment = process.env): ServiceConfig {
  const problems: ConfigurationProblem[] = [];
  const values = Object.entries(variablesOf(service, defaults)).map(([key, variable]) => {
    const read = readVariable(variable, env);
    if (typeof read !== 'string') {
      problems.push(read);
      return [key, undefined];
    }
    const parsed = variable.schema.safeParse(read);
    if (!parsed.success) {
      problems.push({
        variable: variable.name,
        value: shown(variable, read),
        problem: parsed.error.issues[0]?.message ?? 'is not valid',
        remedy: `for example ${variable.example}`,
      });
    }
    return [key, parsed.data];
  });
  if (problems.length > 0) throw new ConfigurationError(service, problems);
  return { service, ...Object.fromEntries(values) } as ServiceConfig;
}

function readVariable(variable: Variable, env: Environment): string | ConfigurationProblem {
  const { name } = variable;
  const direct = env[name]?.trim() || undefined;
  const fileName = `${name}_FILE`;
  const file = variable.secret ? env[fileName]?.trim() || undefined : undefined;
  if (direct !== undefined && file !== undefined) {
    return { variable: name, value: '***', problem: `is set twice, also by ${fileName}`, remedy: `unset one of them` };
  }
  if (file !== undefined) {
    try {
      const text = readFileSync(file, 'utf8').trim();
      if (text !== '') return text;
      return { variable: fileName, value: file, problem: 'names an empty file', remedy: `put ${name} into it` };
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      return { variable: fileName, value: file, problem: `cannot be read (${code})`, remedy: 'name a readable file' };
    }
  }
  const text = direct ?? variable.default;
  if (text !== undefined) return text;
  return { variable: name, value: '(not set)', problem: 'is required', remedy: `for example ${variable.example}` };
}

function shown(variable: Variable, value: string): string {
  if (variable.secret) return '***'; // whatever is wrong with it, no part of it is known to be harmless
  return value.length > 60 ? `${value.slice(0, 57)}…` : value;
}

function table(problems: ConfigurationProblem[]): string {
  const rows = [
    ['VARIABLE', 'VALUE', 'PROBLEM', 'REMEDY'],
    ...problems.map((p) => [p.variable, p.value, p.problem, p.remedy]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map(
      (row) =>
        `  ${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('   ')
          .trimEnd()}`,
    )
    .join('\n');
}

/** The variable that moves `service` to another port; for messages. */
export const portVariable = (service: string): string => `${prefixOf(service)}_PORT`;
