import type { Pool, PoolClient } from 'pg';

/** A connection of a pool: taken when it is needed first, given back at the end, destroyed if its state is unknown. */
export class Lease {
  /** Once it is there. */
  client: PoolClient | undefined;
  #isAsked = false;
  #isOver = false;
  #refusal: Error | undefined;
  #broken: Error | undefined;
  // A connection that dies between two statements says so by an event; without a listener that would end the process.
  readonly #onError: (error: Error) => void;

  constructor(private readonly pool: Pool) {
    const onError = (error: Error): void => void (this.#broken = error);
    this.#onError = onError; // not at once: see StatementGroup.submit
  }

  /** Nobody has asked for it. */
  get isUntouched(): boolean {
    return !this.#isAsked;
  }

  /** Asks for it, once; who asks again after a refusal is refused for the same reason. Neither is called after {@link release}. */
  take(onReady: () => void, onError: (error: Error) => void): void {
    if (this.#refusal) return onError(this.#refusal);
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.pool.connect().then(
      (client) => {
        if (this.#isOver) return client.release();
        this.client = client.on('error', this.#onError);
        onReady();
      },
      (error: Error) => {
        this.#refusal = error;
        if (!this.#isOver) onError(error);
      },
    );
  }

  /** @param broken why it must not be used again, if so */
  release(broken?: Error): void {
    this.#isOver = true;
    this.client?.off('error', this.#onError);
    this.client?.release(broken ?? this.#broken);
    this.client = undefined;
  }
}
