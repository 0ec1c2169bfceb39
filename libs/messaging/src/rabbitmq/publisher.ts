// Publishes with confirms. A promise that resolves means: the broker has it on disk, or nobody listens.
// A promise that rejects means: unknown – publish again.
import type { ConfirmChannel, Options } from 'amqplib';
import { BrokerLink, openConfirmChannel, type LinkStatus } from './broker-link.js';
import { declareExchange } from './topology.js';

/** A broker that does not answer for this long, although it does not block us, is given up. */
const CONFIRM_TIMEOUT_MS = 15_000;

/** The broker refused the message (nack) or the channel closed before it answered. */
export class PublishFailedError extends Error {
  override readonly name = 'PublishFailedError';
}

export class Publisher {
  readonly link: BrokerLink<ConfirmChannel>;
  readonly #returned = new Set<string>();

  constructor(urls: readonly string[], service: string, purpose = 'publisher') {
    this.link = new BrokerLink<ConfirmChannel>({
      urls,
      service,
      purpose,
      open: openConfirmChannel,
      setUp: async (channel) => {
        // The broker returns an unroutable message before it confirms it.
        channel.on('return', ({ properties }) => this.#returned.add(String(properties.messageId)));
        await declareExchange(channel, service);
      },
    });
  }

  get status(): LinkStatus {
    return this.link.status;
  }

  /** @throws {@link PublishFailedError} – the fate of the message is unknown */
  publish(exchange: string, key: string, body: Buffer, options: Options.Publish & { messageId: string }) {
    return new Promise<'routed' | 'unroutable'>((resolve, reject) => {
      const { channel } = this.link;
      if (!channel) return reject(new PublishFailedError('not connected'));
      let timer = setTimeout(onTimeout, CONFIRM_TIMEOUT_MS, this.link);
      function onTimeout(link: BrokerLink<ConfirmChannel>) {
        // A blocked broker says so; waiting is right then.
        if (link.status.state === 'blocked') timer = setTimeout(onTimeout, CONFIRM_TIMEOUT_MS, link);
        else link.rebuild(`no confirm within ${CONFIRM_TIMEOUT_MS / 1000} s`);
      }
      const onConfirm = (error: unknown) => {
        clearTimeout(timer);
        if (error) return reject(new PublishFailedError('refused or lost', { cause: error }));
        resolve(this.#returned.delete(options.messageId) ? 'unroutable' : 'routed');
      };
      try {
        channel.publish(exchange, key, body, { ...options, mandatory: true, persistent: true }, onConfirm);
      } catch (error) {
        onConfirm(error); // the channel closed in this very moment
      }
    });
  }
}
