// Makes one relay per database the active one: a session advisory lock on a connection of its own.
// If its process dies, Postgres frees the lock at once; if it hangs, after 10 s without a ping.
import { connectionSettings } from '@app/database';
import { Client } from 'pg';

export const RELAY_LOCK_KEY = 'messaging.relay';
const PING_EVERY_MS = 3_000;
/** A stopped process keeps its sockets alive; only silence tells (measured: TCP keepalive does not free it in 20 s). */
const SILENCE = '10s';

export class RelayLock {
  #lastPing = Date.now();
  #held = true;

  private constructor(private readonly client: Client) {
    client.on('error', () => (this.#held = false));
    client.on('end', () => (this.#held = false));
  }

  /** The lock, or `undefined` while another process has it. */
  static async tryAcquire(url: string, applicationName: string): Promise<RelayLock | undefined> {
    const client = new Client({ ...connectionSettings({ url, applicationName }), query_timeout: 3_000 });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query(`set idle_session_timeout = '${SILENCE}'`);
      const { rows } = await client.query<{ locked: boolean }>(
        'select pg_try_advisory_lock(hashtextextended($1, 0)) as locked',
        [RELAY_LOCK_KEY],
      );
      if (rows[0]?.locked) return new RelayLock(client);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    await client.end();
    return undefined;
  }

  /** Whether this process still is the active relay. Called by the loop that publishes, so that a hung loop loses the lock. */
  async stillHeld(): Promise<boolean> {
    if (!this.#held || Date.now() - this.#lastPing < PING_EVERY_MS) return this.#held;
    try {
      await this.client.query('select 1');
      this.#lastPing = Date.now();
    } catch {
      this.#held = false;
    }
    return this.#held;
  }

  async release(): Promise<void> {
    this.#held = false;
    await this.client.end().catch(() => {});
  }
}
