import type { Channel } from 'amqplib';
import { pause } from './backoff.js';
import type { BrokerLink } from './broker-link.js';

/** RabbitMQ says that nobody listens, too, when it is too busy to count: it is asked again after this time. */
const SURELY_AFTER_MS = 1_000;

/**
 * Declares again what somebody may have removed, which costs nothing if it is there, and finds a consumer that the broker has
 * lost without a word.
 *
 * @param declare returns how many consumers there are
 * @param stopping aborted when consumers are cancelled on purpose
 */
export async function checkConsumers(
  link: BrokerLink,
  declare: (channel: Channel) => Promise<number>,
  stopping: AbortSignal,
): Promise<void> {
  const { channel } = link;
  if (!channel) return;
  const isDeaf = async () => !stopping.aborted && (await declare(channel)) === 0 && !stopping.aborted;
  try {
    if (!(await isDeaf())) return;
    await pause(SURELY_AFTER_MS, stopping);
    if (await isDeaf()) link.rebuild('the broker has lost the consumer');
  } catch {
    // The channel is closed by the error; the link says why and builds everything anew.
  }
}
