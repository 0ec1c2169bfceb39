// What is on the way to the broker: from being read until its row is gone, or until it is given back to be read again.
// The memory of the relay follows from it, not from the backlog.
import { Logger } from '@nestjs/common';
import type { Pool } from 'pg';
import { backOff, pause } from '../rabbitmq/backoff.js';
import { arrayOf } from '../sql-array.js';

const MAX_EVENTS = 4_000;
const MAX_BYTES = 16 * 1024 * 1024;
/** Fewer confirmed events wait so long for others: a delete costs the database the same for one as for a hundred. */
const FEW_EVENTS = 50;
const DELETE_TOGETHER_MS = 20;

const DELETE = 'delete from messaging.outbox where position = any($1::bigint[])';

export class Window {
  readonly #logger = new Logger('Relay');
  readonly #bytes = new Map<string, number>();
  #total = 0;
  #confirmed: string[] = [];
  #deleting: Promise<void> | undefined;

  constructor(
    private readonly pool: Pool,
    private readonly signal: AbortSignal,
    /** There is something to read again, or room again. */
    private readonly onRoom: () => void,
  ) {}

  get size(): number {
    return this.#bytes.size;
  }

  has(position: string): boolean {
    return this.#bytes.has(position);
  }

  get positions(): string[] {
    return [...this.#bytes.keys()];
  }

  get room(): { events: number; bytes: number } {
    return { events: Math.max(0, MAX_EVENTS - this.#bytes.size), bytes: Math.max(0, MAX_BYTES - this.#total) };
  }

  add(events: readonly { position: string; bytes: number }[]): void {
    for (const { position, bytes } of events) {
      this.#bytes.set(position, bytes);
      this.#total += bytes;
    }
  }

  /** They stay in the outbox, and are read again. */
  giveBack(positions: readonly string[]): void {
    this.#forget(positions);
    this.onRoom();
  }

  /** The broker has them: takes them out of the outbox, one delete at a time for all that have come meanwhile. */
  confirmed(positions: readonly string[]): void {
    this.#confirmed.push(...positions);
    this.#deleting ??= this.#delete();
  }

  /** Resolves when nothing is being deleted. */
  async settled(): Promise<void> {
    await this.#deleting;
  }

  #forget(positions: readonly string[]): void {
    for (const position of positions) {
      this.#total -= this.#bytes.get(position) ?? 0;
      this.#bytes.delete(position);
    }
  }

  async #delete(): Promise<void> {
    for (let failures = 0; this.#confirmed.length > 0;) {
      if (this.#confirmed.length < FEW_EVENTS) await pause(DELETE_TOGETHER_MS, this.signal);
      const positions = this.#confirmed;
      this.#confirmed = [];
      try {
        await this.pool.query({ name: 'relay-delete', text: DELETE, values: [arrayOf(positions)] });
        failures = 0;
        const { events, bytes } = this.room;
        this.#forget(positions);
        if (events === 0 || bytes === 0) this.onRoom();
      } catch (error) {
        this.#confirmed.push(...positions);
        if (this.signal.aborted) break; // published again after the restart
        if (failures === 0)
          this.#logger.warn(`confirmed events stay in the outbox for now: ${(error as Error).message}`);
        await backOff(failures++, { ceiling: 2_000, signal: this.signal });
      }
    }
    this.#deleting = undefined; // in the same turn as the last look: whoever confirms next starts anew
  }
}
