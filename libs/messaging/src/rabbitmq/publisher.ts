// Publishes with confirms. A promise that resolves means: the broker has it on disk, or nobody listens.
// A promise that rejects means: unknown – publish again.
import type { EventEmitter } from 'node:events';
import { IllegalOperationError, type ConfirmChannel, type Options } from 'amqplib';
import { BrokerLink, openConfirmChannel, type LinkStatus } from './broker-link.js';
import { declareExchange } from './topology.js';

/** A broker that does not answer for this long, although it does not block us, is given up. */
const CONFIRM_TIMEOUT_MS = 15_000;

/**
 * - `nacked`: a queue refused it, others may have it;
 * - `lost`: the channel closed before the broker answered; `cause` says why, if the broker did;
 * - `unsendable`: it cannot be put into AMQP frames at all.
 */
export type PublishFailure = 'nacked' | 'lost' | 'unsendable';

/** The message may have arrived or not. */
export class PublishFailedError extends Error {
  override readonly name = 'PublishFailedError';
  constructor(
    readonly kind: PublishFailure,
    override readonly cause?: Error & { code?: unknown },
  ) {
    super(cause ? `${kind}: ${cause.message}` : kind);
  }
}

export class Publisher {
  readonly link: BrokerLink<ConfirmChannel>;
  /** When each message was sent that the broker has not answered yet, oldest first. */
  readonly #unanswered = new Set<{ since: number }>();
  #returned = new Set<string>();
  #closedBy: Error | undefined;
  #unblockedAt = 0;
  #watching = false;

  constructor(
    urls: readonly string[],
    service: string,
    purpose = 'publisher',
    private readonly confirmTimeoutMs = CONFIRM_TIMEOUT_MS,
  ) {
    this.link = new BrokerLink<ConfirmChannel>({
      urls,
      service,
      purpose,
      open: openConfirmChannel,
      setUp: async (channel) => {
        this.#closedBy = undefined;
        this.#returned = new Set();
        // The broker returns an unroutable message before it confirms it.
        channel.on('return', ({ properties }) => this.#returned.add(String(properties.messageId)));
        // Both come before the unanswered messages are given back.
        for (const source of [channel, channel.connection as unknown as EventEmitter]) {
          source.on('error', (error: Error) => (this.#closedBy = error));
        }
        await declareExchange(channel, service);
      },
    });
    this.link.on('state', () => (this.#unblockedAt = performance.now()));
  }

  get status(): LinkStatus {
    return this.link.status;
  }

  /** @throws {@link PublishFailedError} – the fate of the message is unknown */
  publish(exchange: string, key: string, body: Buffer, options: Options.Publish & { messageId: string }) {
    return new Promise<'routed' | 'unroutable'>((resolve, reject) => {
      const { channel } = this.link;
      if (!channel) return reject(new PublishFailedError('lost'));
      const sent = { since: performance.now() };
      const returned = this.#returned;
      const onAnswer = (error: Error | null) => {
        this.#unanswered.delete(sent);
        if (error === null) {
          this.link.proven();
          resolve(returned.delete(options.messageId) ? 'unroutable' : 'routed');
        } else {
          const nacked = error.message === 'message nacked';
          reject(new PublishFailedError(nacked ? 'nacked' : 'lost', nacked ? error : this.#closedBy));
        }
      };
      try {
        channel.publish(exchange, key, body, { ...options, mandatory: true, persistent: true }, onAnswer);
      } catch (error) {
        const closing = error instanceof IllegalOperationError;
        return reject(new PublishFailedError(closing ? 'lost' : 'unsendable', closing ? undefined : (error as Error)));
      }
      this.#unanswered.add(sent);
      this.#watch(this.confirmTimeoutMs);
    });
  }

  /** One timer for all: a timer for each message costs more than the message. */
  #watch(ms: number): void {
    if (this.#watching) return;
    this.#watching = true;
    setTimeout(() => {
      this.#watching = false;
      const [oldest] = this.#unanswered;
      if (!oldest) return;
      const waited = performance.now() - Math.max(oldest.since, this.#unblockedAt);
      // A blocked broker says so; waiting is right then.
      const left = this.link.status.state === 'blocked' ? this.confirmTimeoutMs : this.confirmTimeoutMs - waited;
      if (left <= 0) this.link.rebuild(`no confirm within ${this.confirmTimeoutMs / 1000} s`);
      this.#watch(left > 0 ? left : this.confirmTimeoutMs);
    }, ms).unref();
  }
}
