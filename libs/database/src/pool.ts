// Pools whose connections may break without taking the process down, and which end in time, whatever the database does.
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, type ClientBase, type PoolClient, type PoolConfig } from 'pg';

const connected = new WeakMap<Pool, Set<PoolClient>>();

/**
 * So long a connection is kept that nobody needs. A new one costs its first statements 40 ms of planning. The driver's default is 10 s, and
 * so whenever something had taken a moment, up to sixteen of them were opened for the commands that had come meanwhile: a stall of 50 ms
 * became one of 600.
 */
const KEEP_MS = 60_000;

/** How often a connection that has not answered in time is looked at before it is cut. */
const LOOKS = 20;

/** What pg keeps of a connection; not part of its types. */
interface Wire {
  readonly connection: { readonly stream: Socket };
  readonly _activeQuery: unknown;
  readonly _sentQueryQueue: readonly unknown[];
}

/**
 * A pool whose connections may break without taking the process down, idle or in use. One that owes an answer and is silent for
 * `query_timeout` ms is cut, and whoever waits for it gets an error of {@link isDatabaseUnavailable}.
 */
export function openPool({ query_timeout: silenceMs, ...config }: PoolConfig): Pool {
  const pool = new Pool({ idleTimeoutMillis: KEEP_MS, ...config });
  const clients = new Set<PoolClient>();
  connected.set(pool, clients);
  if (silenceMs) pool.on('connect', watchman(clients, silenceMs));
  pool.on('error', () => {}); // an idle connection died; the pool has already dropped it
  pool.on('connect', (client) => {
    clients.add(client);
    // One that is in use has no listener of the pool's: without this one, the end of its backend is an uncaught exception.
    client.on('error', () => {});
  });
  pool.on('remove', (client) => clients.delete(client));
  return pool;
}

/**
 * Ends a pool. What is still in use after `patienceMs`, or says goodbye to a database that is silent, is cut: its
 * statements fail, and what they had not committed is rolled back. Never throws; takes half a second more at most.
 */
export async function closePool(pool: Pool, patienceMs = 500): Promise<void> {
  const clients = [...(connected.get(pool) ?? [])];
  const ended = pool.end().catch(() => {});
  if (await within(patienceMs, ended)) return;
  for (const client of clients) hangUp(client);
  await within(500, ended);
}

/** Cuts a connection: `end()` waits for ever for a peer that is silent. */
export function hangUp(client: ClientBase, why?: Error): void {
  (client as unknown as Wire).connection.stream.destroy(why);
}

/**
 * One clock for all connections of a pool. The driver's own is a timer for every query, which holds on to the answer: a third of the
 * relay's time went into collecting that garbage. It counts looks instead of time, so that a process that was stopped itself does
 * not blame the database.
 */
function watchman(clients: ReadonlySet<PoolClient>, silenceMs: number): () => void {
  const silent = new WeakMap<PoolClient, { bytes: number; looks: number }>();
  const look = (client: PoolClient): void => {
    const { connection, _activeQuery, _sentQueryQueue } = client as unknown as Wire;
    const bytes = connection.stream.bytesRead;
    const before = silent.get(client);
    if (!_activeQuery && _sentQueryQueue.length === 0) silent.delete(client);
    else if (before?.bytes !== bytes) silent.set(client, { bytes, looks: 0 });
    else if (++before.looks >= LOOKS) hangUp(client, new Error(`Query read timeout: silent for ${silenceMs} ms`));
  };
  let timer: NodeJS.Timeout | undefined;
  return () => {
    timer ??= setInterval(() => {
      clients.forEach(look);
      if (clients.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    }, silenceMs / LOOKS).unref();
  };
}

async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const done = new AbortController();
  const late = sleep(ms, false, { signal: done.signal }).catch(() => false);
  return Promise.race([work.then(() => true), late]).finally(() => done.abort());
}
