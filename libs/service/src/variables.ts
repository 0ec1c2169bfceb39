import { z } from 'zod';

/** What a process of a service can do; `ROLES` picks some, so that they scale and fail apart. */
export const ROLES = ['api', 'relay', 'inbox', 'workers'] as const;
export type Role = (typeof ROLES)[number];

/** An environment variable that a service reads: enough to document it, and to check it. */
export interface Variable<T = unknown> {
  name: string;
  meaning: string;
  /** Used when the variable is absent or empty; without it the variable is required. */
  default?: string;
  example: string;
  /** A secret is masked in messages, and `<NAME>_FILE` may name a file that holds it. */
  secret?: boolean;
  schema: z.ZodType<T, string>;
}

/** What sets a service apart when its variables are read: its usual port, and what it reads besides the variables of all. */
export interface ServiceDefaults {
  port: number;
  /** By the name they have in the service's configuration. */
  variables?: Readonly<Record<string, Variable>>;
}

/** Declares a variable; for the type of its value. */
export const variable = <T>(description: Variable<T>): Variable<T> => description;

/** A variable that is a whole number in this range, written without sign, point or exponent. */
export const wholeNumber = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, { error })
    .transform(Number)
    .refine((value) => value >= min && value <= max, { error });
};

const list = (text: string): string[] => text.split(',').map((item) => item.trim());

function urlOf(text: string, protocols: string[]): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && url.hostname !== '' && protocols.includes(url.protocol) ? url : undefined;
}

const postgresUrl = z.string().refine(
  (text) => {
    const url = urlOf(text, ['postgres:', 'postgresql:']);
    return url !== undefined && url.pathname.length > 1;
  },
  { error: 'must be a URL postgres://user:password@host:port/database' },
);

const rabbitmqUrls = z
  .string()
  .transform(list)
  .refine((urls) => urls.every((url) => urlOf(url, ['amqp:', 'amqps:']) !== undefined), {
    error: 'must be amqp:// or amqps:// URLs, separated by commas',
  });

const roles = z
  .string()
  .transform(list)
  .refine((names) => names.every((name) => (ROLES as readonly string[]).includes(name)), {
    error: `must be a list of ${ROLES.join(', ')}`,
  })
  .transform((names): ReadonlySet<Role> => new Set(names as Role[]));

const opsToken = z
  .string()
  .refine((text) => text === 'off' || /^[\x21-\x7e]{16,200}$/.test(text), {
    error: 'must have 16 to 200 characters without spaces, or be off',
  })
  .transform((text) => (text === 'off' ? undefined : text));

/** `shipping` → `SHIPPING`, `order-history` → `ORDER_HISTORY`: how the variables of one service begin. */
export const prefixOf = (service: string): string => service.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');

/** All variables that a service reads, by the name they have in its configuration. */
export const variablesOf = (service: string, defaults: ServiceDefaults): Record<string, Variable> => ({
  ...commonVariables(service, defaults),
  ...defaults.variables,
});

function commonVariables(service: string, defaults: ServiceDefaults) {
  const prefix = prefixOf(service);
  return {
    port: variable({
      name: `${prefix}_PORT`,
      meaning: `Port on which ${service} answers HTTP.`,
      default: String(defaults.port),
      example: String(defaults.port),
      schema: wholeNumber(0, 65_535),
    }),
    host: variable({
      name: 'HOST',
      meaning: 'Address on which services answer HTTP; 0.0.0.0 makes them reachable from other machines.',
      default: '127.0.0.1',
      example: '127.0.0.1',
      schema: z.string().regex(/^[\w.:-]+$/, { error: 'must be an IP address or a host name' }),
    }),
    databaseUrl: variable({
      name: `${prefix}_DATABASE_URL`,
      meaning: `Postgres database of ${service}; it shares it with no other service.`,
      example: `postgres://postgres:postgres@localhost:5432/${service}`,
      secret: true,
      schema: postgresUrl,
    }),
    databasePoolSize: variable({
      name: 'DATABASE_POOL_SIZE',
      meaning:
        'Most connections that one process opens to its database for requests; the backbone has some 25 of its own.',
      default: '16',
      example: '16',
      schema: wholeNumber(2, 1000),
    }),
    rabbitmqUrls: variable({
      name: 'RABBITMQ_URL',
      meaning: 'The broker; for a cluster the URLs of several nodes, separated by commas.',
      default: 'amqp://guest:guest@localhost:5672',
      example: 'amqp://guest:guest@localhost:5672',
      secret: true,
      schema: rabbitmqUrls,
    }),
    roles: variable({
      name: 'ROLES',
      meaning: 'What this process does: api (HTTP), relay (publishes), inbox (consumes), workers (retries, timers).',
      default: ROLES.join(','),
      example: 'api,relay',
      schema: roles,
    }),
    booksIntervalMs: variable({
      name: 'BOOKS_INTERVAL_MS',
      meaning:
        'Milliseconds between two looks at whether every event has arrived; loss is healed within a few times that.',
      default: '15000',
      example: '15000',
      schema: wholeNumber(100, 600_000),
    }),
    opsToken: variable({
      name: 'OPS_TOKEN',
      meaning: 'Secret (16 characters or more) that opens /ops to callers on this machine; off closes it to everybody.',
      default: 'off',
      example: 'correct-horse-battery-staple',
      secret: true,
      schema: opsToken,
    }),
    logLevel: variable({
      name: 'LOG_LEVEL',
      meaning: 'The least important lines to print: trace, debug, info, warn, error, fatal or silent.',
      default: 'info',
      example: 'debug',
      schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
        error: 'must be one of trace, debug, info, warn, error, fatal, silent',
      }),
    }),
    logFormat: variable({
      name: 'LOG_FORMAT',
      meaning: 'pretty (for people), json (one object per line) or auto (pretty on a terminal, else json).',
      default: 'auto',
      example: 'json',
      schema: z.enum(['auto', 'pretty', 'json'], { error: 'must be one of auto, pretty, json' }),
    }),
    shutdownTimeoutMs: variable({
      name: 'SHUTDOWN_TIMEOUT_MS',
      meaning: 'Milliseconds after SIGTERM until a process that has not finished is ended by force.',
      default: '10000',
      example: '10000',
      schema: wholeNumber(100, 600_000),
    }),
  };
}

/** The same as a list, for documentation and for the test that keeps `.env.example` true. */
export const describeVariables = (service: string, defaults: ServiceDefaults): Variable[] =>
  Object.values(variablesOf(service, defaults));
