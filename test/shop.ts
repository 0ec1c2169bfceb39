// The whole system as it runs in production: both apps as processes from dist/, real databases, a real broker.
import {
  createServiceDatabase,
  createTestVhost,
  eventually,
  freePort,
  startServiceProcess,
  type ServiceProcess,
  type TestDatabase,
  type TestVhost,
} from '@app/testing';
import { Pool, type QueryResultRow } from 'pg';

/** What the payment provider signs with. */
const PAYMENT_WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 'shop').toString('base64')}`;

export type ServiceName = 'users' | 'orders';

/** Processes, with what is needed to start them again. */
export interface Shop {
  readonly users: ServiceProcess;
  readonly orders: ServiceProcess;
  readonly vhost: TestVhost;
  readonly ports: Record<ServiceName, number>;
  /** Starts a service (again); its database and port stay the same. */
  start(service: ServiceName, how?: { doNotWait: boolean }): Promise<ServiceProcess>;
  /** Connections of the test's own. */
  database(service: ServiceName): Pool;
  rows<Row extends QueryResultRow>(service: ServiceName, sql: string, ...values: unknown[]): Promise<Row[]>;
  count(service: ServiceName, table: string): Promise<number>;
  /** How many events the service has applied so far, of whoever told them. */
  applied(service: ServiceName): Promise<number>;
  /** Waits until everything that was recorded has been published and applied, and nothing is parked. */
  atRest(timeoutMs?: number): Promise<void>;
  /** Ends what runs, with SIGTERM. @throws if a process does not end well or leaves connections open */
  close(): Promise<void>;
}

/**
 * @param options.vhost on a broker of your own, if the test stops it; dropped by whoever made it
 * @param options.env further variables of both services
 */
export async function openShop({
  vhost: given,
  start = true,
  env = {},
}: { vhost?: TestVhost; start?: boolean; env?: Record<string, string> } = {}): Promise<Shop> {
  const [databases, vhost, ports] = await Promise.all([
    both(createServiceDatabase),
    given ?? createTestVhost(),
    both(freePort),
  ]);
  const pools = { users: poolOf(databases.users), orders: poolOf(databases.orders) };
  const running: Partial<Record<ServiceName, ServiceProcess>> = {};
  const processOf = (service: ServiceName) => {
    const process = running[service];
    if (!process) throw new Error(`${service} was not started`);
    return process;
  };
  const shop: Shop = {
    get users() {
      return processOf('users');
    },
    get orders() {
      return processOf('orders');
    },
    vhost,
    ports,
    start: async (service, { doNotWait } = { doNotWait: false }) =>
      (running[service] = await startServiceProcess(service, {
        port: ports[service],
        databaseUrl: databases[service].url,
        rabbitmqUrl: vhost.url,
        // Nobody listens on port 1: payments wait until the test starts a provider.
        env: { PAYMENT_PROVIDER_URL: 'http://127.0.0.1:1', PAYMENT_WEBHOOK_SECRET, ...env },
        doNotWait,
      })),
    database: (service) => pools[service],
    rows: async <Row extends QueryResultRow>(service: ServiceName, sql: string, ...values: unknown[]) =>
      (await pools[service].query<Row>(sql, values)).rows,
    count: async (service, table) =>
      Number((await pools[service].query<{ n: string }>(`select count(*) as n from ${table}`)).rows[0]!.n),
    applied: (service) => appliedBy(pools[service]),
    atRest: (timeoutMs = 30_000) =>
      eventually(
        async () => {
          const state = {
            recorded: await shop.count('users', 'messaging.events'),
            unpublished: await shop.count('users', 'messaging.outbox'),
            applied: await appliedBy(pools.orders),
            parked: await shop.count('orders', 'messaging.parked_events'),
          };
          if (state.applied === state.recorded && state.unpublished === 0 && state.parked === 0) return;
          throw new Error(`not at rest: ${JSON.stringify(state)}`);
        },
        { timeoutMs, intervalMs: 100 },
      ),
    close: async () => {
      const processes = Object.values(running);
      const ends = await Promise.all(processes.map((service) => service.stop()));
      await Promise.all(Object.values(pools).map((pool) => pool.end()));
      await Promise.all(Object.values(databases).map((database) => database.drop()));
      if (!given) await vhost.drop();
      const bad = processes.filter((_, i) => ends[i]!.code !== 0 && ends[i]!.signal !== 'SIGKILL');
      if (bad.length > 0) throw new Error(`did not end well:\n${bad.map((service) => service.output()).join('\n')}`);
    },
  };
  if (start) await both((service) => shop.start(service));
  return shop;
}

async function both<T>(make: (service: ServiceName) => Promise<T>): Promise<Record<ServiceName, T>> {
  const [users, orders] = await Promise.all([make('users'), make('orders')]);
  return { users, orders };
}

function poolOf({ url }: TestDatabase): Pool {
  const pool = new Pool({ connectionString: url, max: 2, application_name: 'test' });
  pool.on('error', () => {});
  return pool;
}

/** Pages that balance are folded into one number. */
async function appliedBy(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: string }>(
    `select coalesce((select sum(applied) from messaging.inbox_pages), 0)
          + coalesce((select sum(folded) from messaging.inbox_books), 0) as n`,
  );
  return Number(rows[0]!.n);
}
