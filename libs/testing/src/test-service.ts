// A real service inside of the test: HTTP on a free port, a database and a vhost of its own, and nothing replaced.
import { isSerializationFailure, migrate } from '@app/database';
import { createHttpApp, listenToEvents, loadConfig, migrationsOf, type ServiceDefaults } from '@app/service';
import type { DynamicModule, Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Pool, type QueryResultRow } from 'pg';
import { courierTo, type Courier } from './courier.js';
import { eventually } from './eventually.js';
import { httpClient, type TestHttp, type TestResponse } from './http-client.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { createTestVhost, type TestVhost } from './test-vhost.js';

export interface TestServiceOptions {
  /** Values of variables, such as `ROLES`. */
  env?: Record<string, string>;
  /** What the service reads besides the variables of all. */
  variables?: ServiceDefaults['variables'];
  /** Makes further tables before the service starts. */
  sql?: string;
  /** A database that outlives the service; whoever made it drops it. */
  database?: TestDatabase;
  /** A vhost that outlives the service or is shared with another one; whoever made it drops it. */
  vhost?: TestVhost;
  /** Returns before the service is connected to the broker. */
  doNotWait?: boolean;
}

export interface TestService extends Omit<Courier, 'close'> {
  readonly app: NestFastifyApplication;
  readonly http: TestHttp;
  /** For assertions; connections of its own. */
  readonly database: Pool;
  readonly vhost: TestVhost;
  rows<Row extends QueryResultRow>(sql: string, ...values: unknown[]): Promise<Row[]>;
  /** Empties these tables of the service, and its log. */
  forget(...tables: string[]): Promise<void>;
  /** What the service has recorded, in the order of its log. */
  sentBy(): Promise<{ type: string; subject: string; sequence: number; data: Record<string, unknown> }[]>;
  ready(): Promise<TestResponse>;
  /**
   * Ends the service as SIGTERM does.
   *
   * @throws if it leaves a connection to its database or to RabbitMQ open
   */
  stop(): Promise<void>;
}

/** The service's database, migrated, for a test that needs it before or after the service. */
export const createServiceDatabase = (service: string, folder = `apps/${service}`): Promise<TestDatabase> =>
  createTestDatabase(service, (url) => migrate(url, migrationsOf(folder)));

/** Starts the service that `module` is, named `service`, as `bootstrap` does, and waits until it is connected. */
export async function startTestService(
  module: Type | DynamicModule,
  service: string,
  options: TestServiceOptions = {},
): Promise<TestService> {
  const [ownDatabase, ownVhost] = await Promise.all([
    options.database ? undefined : createServiceDatabase(service),
    options.vhost ? undefined : createTestVhost(),
  ]);
  const database = (options.database ?? ownDatabase)!;
  const vhost = (options.vhost ?? ownVhost)!;
  const pool = new Pool({ connectionString: database.url, max: 4, application_name: 'test' });
  pool.on('error', () => {});
  if (options.sql) await pool.query(options.sql);
  const app = await boot(module, service, { databaseUrl: database.url, rabbitmqUrl: vhost.url, ...options });
  const url = await app.getUrl();
  const http = httpClient(() => url);
  const ready = () => http('GET', '/health/ready');
  const { close: closeCourier, ...courier } = courierTo(vhost);
  const stop = () =>
    allOf([
      () => app.close(),
      () => closeCourier(),
      () => pool.end(),
      () => noConnectionIsLeft(vhost, service),
      () => ownVhost?.drop(),
      () => ownDatabase?.drop(),
    ]);
  const started: TestService = {
    app,
    http,
    database: pool,
    vhost,
    ...courier,
    rows: async <Row extends QueryResultRow>(sql: string, ...values: unknown[]) =>
      (await pool.query<Row>(sql, values)).rows,
    forget: (...tables) => truncate(pool, tables),
    sentBy: () => recorded(pool),
    ready,
    stop,
  };
  if (options.doNotWait) return started;
  try {
    await eventually(async () => {
      const { body } = await ready();
      if ((body as { status: string }).status !== 'ok')
        throw new Error(`${service} is not ready: ${JSON.stringify(body)}`);
    });
    return started;
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
}

/** Unless a test is about the books, they must not heal what the road itself has lost. */
export const NEVER = '600000';

async function boot(
  module: Type | DynamicModule,
  service: string,
  { databaseUrl, rabbitmqUrl, env, variables }: TestServiceOptions & { databaseUrl: string; rabbitmqUrl: string },
): Promise<NestFastifyApplication> {
  const config = loadConfig(
    service,
    { port: 0, variables },
    {
      [`${service.toUpperCase()}_DATABASE_URL`]: databaseUrl,
      RABBITMQ_URL: rabbitmqUrl,
      LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
      BOOKS_INTERVAL_MS: NEVER,
      ...env,
    },
  );
  const app = await createHttpApp(module, config, { title: service });
  await app.init();
  await listenToEvents(app);
  await app.listen(config.port, config.host);
  return app;
}

/** Whoever is at work locks the tables in another order, and Postgres may choose this one to give way. */
async function truncate(pool: Pool, tables: readonly string[]): Promise<void> {
  const all = [...tables, 'messaging.outbox', 'messaging.events', 'messaging.streams'];
  for (let attempt = 1; ; attempt++) {
    try {
      await pool.query(`truncate ${all.join(', ')}`);
      return;
    } catch (error) {
      if (attempt === 5 || !isSerializationFailure(error)) throw error;
    }
  }
}

async function recorded(pool: Pool) {
  const { rows } = await pool.query<{ type: string; subject: string; sequence: string; data: Record<string, unknown> }>(
    'select type, subject, sequence, data from messaging.events order by position',
  );
  return rows.map((row) => ({ ...row, sequence: Number(row.sequence) }));
}

/** The service may share the vhost with another one, so only its own connections count. */
async function noConnectionIsLeft(vhost: TestVhost, service: string): Promise<void> {
  await eventually(
    async () => {
      const names = (await vhost.connections()).map((connection) =>
        String(connection.client_properties?.connection_name),
      );
      const left = names.filter((name) => name.startsWith(`${service}@`) || name === 'test courier');
      if (left.length > 0) throw new Error(`connections to RabbitMQ were left open: ${left.join(', ')}`);
    },
    { timeoutMs: 2_000 },
  );
}

/** Does every step, whatever becomes of the others, and throws what failed. */
async function allOf(steps: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0)
    throw errors.length === 1 ? errors[0] : new AggregateError(errors, errors.map(String).join('\n'));
}
