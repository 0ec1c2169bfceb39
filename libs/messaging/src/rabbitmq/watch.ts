import type { Channel } from 'amqplib';
import type { BrokerLink } from './broker-link.js';

/**
 * Declares again what somebody may have removed, which costs nothing if it is there, and finds a consumer that the broker has
 * lost without a word.
 *
 * @param declare returns how many consumers there are
 */
export async function checkConsumers(link: BrokerLink, declare: (channel: Channel) => Promise<number>): Promise<void> {
  const { channel } = link;
  if (!channel) return;
  try {
    if ((await declare(channel)) === 0) link.rebuild('the broker has lost the consumer');
  } catch {
    // The channel is closed by the error; the link says why and builds everything anew.
  }
}
