import { IllegalOperationError, type Channel, type ConsumeMessage } from 'amqplib';

/** What is committed is acknowledged within this time, in ms. */
const WITHIN_MS = 50;
/** So many messages do not wait: the broker sends no more than `prefetch` ahead of the acknowledgements. */
const AT_ONCE = 32;

/**
 * Acknowledges several messages at a time. Each acknowledgement costs the broker as much as a message: an entry in the log of
 * the queue, on disk. What is committed and not acknowledged when the process dies comes again, and is dropped as a duplicate.
 */
export class Acknowledgements {
  /** Not acknowledged yet: this message, and what was delivered before it. */
  #last: { channel: Channel; message: ConsumeMessage } | undefined;
  #waiting = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * All that `channel` has delivered up to `message` is done.
   *
   * @param more messages that were done since the last call
   */
  add(channel: Channel, message: ConsumeMessage, more: number): void {
    if (this.#last?.channel !== channel) this.flush();
    this.#last = { channel, message };
    this.#waiting += more;
    if (this.#waiting >= AT_ONCE) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), WITHIN_MS).unref();
  }

  /** Acknowledges what waits for it, now. */
  flush(): void {
    clearTimeout(this.#timer);
    const last = this.#last;
    this.#last = this.#timer = undefined;
    this.#waiting = 0;
    if (!last) return;
    try {
      last.channel.ack(last.message, true);
    } catch (error) {
      if (!(error instanceof IllegalOperationError)) throw error; // the channel is gone: they come again, as duplicates
    }
  }
}
