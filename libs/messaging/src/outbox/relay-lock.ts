// Makes one relay per database the active one: a session advisory lock on a connection of its own.
// If its process dies, Postgres frees the lock at once; if it hangs, after 10 s without a ping.
import { sabotaged } from '@app/context';
import { connectionSettings, hangUp } from '@app/database';
import { Client } from 'pg';
import { atMost } from '../rabbitmq/backoff.js';

/** Hashed with `hashtextextended(…, 0)`. */
export const RELAY_LOCK_KEY = 'messaging.relay';
const PING_EVERY_MS = 3_000;
const ANSWER_WITHIN_MS = 3_000;
/** A stopped process keeps its sockets alive; only silence tells (measured: TCP keepalive does not free it in 20 s). */
const SILENCE = '10s';

export class RelayLock {
  #client: Client | undefined;
  #lastAnswer = -Infinity;

  constructor(
    private readonly url: string,
    private readonly applicationName: string,
  ) {}

  /**
   * Asks for the lock, without waiting for it: a statement that waits would keep VACUUM from tidying up the outbox.
   * The connection stays open while standing by.
   *
   * @throws if the database does not answer
   */
  async tryAcquire(): Promise<boolean> {
    this.#client ??= await this.#connect();
    const { rows } = await this.#ask<{ locked: boolean }>(
      'select pg_try_advisory_lock(hashtextextended($1, 0)) as locked',
      [RELAY_LOCK_KEY],
    );
    return rows[0]?.locked === true || sabotaged('two-relays');
  }

  /** Whether this process still is the active relay. Called by the loop that publishes, so that a hung loop loses the lock. */
  async stillHeld(): Promise<boolean> {
    if (!this.#client) return false;
    if (performance.now() - this.#lastAnswer < PING_EVERY_MS) return true;
    try {
      await this.#ask('select 1');
      return true;
    } catch {
      return false;
    }
  }

  /** Gives up the lock, if it is held, with its connection. Never hangs and never throws. */
  async release(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (!client) return;
    await atMost(
      1_000,
      client.end().catch(() => {}),
    );
    hangUp(client);
  }

  async #connect(): Promise<Client> {
    const { url, applicationName } = this;
    const client = new Client({ ...connectionSettings({ url, applicationName }), query_timeout: ANSWER_WITHIN_MS });
    const forget = () => {
      if (this.#client === client) this.#client = undefined;
    };
    client.on('error', forget);
    client.on('end', forget);
    try {
      await client.connect();
      await client.query(`set idle_session_timeout = '${SILENCE}'`);
      return client;
    } catch (error) {
      hangUp(client);
      throw error;
    }
  }

  async #ask<Row extends object>(sql: string, values: string[] = []) {
    try {
      const result = await this.#client!.query<Row>(sql, values);
      this.#lastAnswer = performance.now();
      return result;
    } catch (error) {
      await this.release();
      throw error;
    }
  }
}
