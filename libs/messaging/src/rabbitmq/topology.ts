// What lies at the broker. Declared by every service for itself, the same on RabbitMQ 3.10 … 4.x.
// Arguments hold what must never be switched off; capacity belongs into policies.
import type { Channel } from 'amqplib';
import { namesOf, REPLAY_REQUESTS } from '../options.js';

/** Messages whose consumer crashed this often are set aside by the broker. Explicit: 3.10 has no limit, 4.x has 20. */
const DELIVERY_LIMIT = 20;

/** The exchange a service publishes to. Whoever comes first declares it, publisher or subscriber. */
export const declareExchange = (channel: Channel, owner: string) =>
  channel.assertExchange(namesOf(owner).exchange, 'topic', { durable: true });

/**
 * Where a service is asked to repeat something, and where it answers.
 *
 * @returns how many processes wait for such requests
 */
export async function declareReplay(channel: Channel, owner: string): Promise<number> {
  const { replay, replayRequests } = namesOf(owner);
  await channel.assertExchange(REPLAY_REQUESTS, 'topic', { durable: true });
  await channel.assertExchange(replay, 'direct', { durable: true });
  const { consumerCount } = await channel.assertQueue(replayRequests, {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': DELIVERY_LIMIT },
  });
  await channel.bindQueue(replayRequests, REPLAY_REQUESTS, owner);
  return consumerCount;
}

/**
 * The queue an inbox listens to, bound to whole aggregates (`users.user.#`), because order needs every event of a stream.
 * Single active consumer: one process works, the others stand by.
 *
 * @returns how many processes listen to it, or to its dead letters if they are fewer
 */
export async function declareInbox(
  channel: Channel,
  { queue, dead }: { queue: string; dead: string },
  aggregates: readonly string[],
): Promise<number> {
  await channel.assertExchange(dead, 'fanout', { durable: true });
  // A dead-letter queue without a dead-letter queue of its own: a limit that nobody reaches (−1 drops on 3.10).
  const letters = await channel.assertQueue(dead, {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 },
  });
  await channel.bindQueue(dead, dead, '');
  const live = await channel.assertQueue(queue, {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-single-active-consumer': true,
      'x-delivery-limit': DELIVERY_LIMIT,
      'x-dead-letter-exchange': dead,
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish', // required by at-least-once; there is no length limit
    },
  });
  for (const aggregate of aggregates) {
    const owner = aggregate.slice(0, aggregate.indexOf('.'));
    await declareExchange(channel, owner);
    await channel.bindQueue(queue, namesOf(owner).exchange, `${aggregate}.#`);
    await channel.assertExchange(namesOf(owner).replay, 'direct', { durable: true });
    await channel.bindQueue(queue, namesOf(owner).replay, queue);
  }
  return Math.min(live.consumerCount, letters.consumerCount);
}
