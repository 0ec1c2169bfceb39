// Pools whose connections may break without taking the process down, and which end in time, whatever the database does.
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool, type ClientBase, type PoolClient, type PoolConfig } from 'pg';

const connected = new WeakMap<Pool, Set<PoolClient>>();

/** A pool whose connections may break without taking the process down, idle or in use. */
export function openPool(config: PoolConfig): Pool {
  const pool = new Pool(config);
  const clients = new Set<PoolClient>();
  connected.set(pool, clients);
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
  clients.forEach(hangUp);
  await within(500, ended);
}

/** Cuts a connection: `end()` waits for ever for a peer that is silent. */
export function hangUp(client: ClientBase): void {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const done = new AbortController();
  const late = sleep(ms, false, { signal: done.signal }).catch(() => false);
  return Promise.race([work.then(() => true), late]).finally(() => done.abort());
}
