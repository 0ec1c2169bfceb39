// Publishes recorded events by hand, in any order and as often as one likes, as they travel from the relay.
import amqp from 'amqplib';
import { built } from './servers.mjs';

/** @typedef {import('./trial.mjs').Trial} Trial */

const READ = `
select position, id, type, epoch, subject, sequence, page, recorded_at, correlation_id, causation_id, traceparent,
       data::text as data
from messaging.events where id = any($1)`;

/**
 * @param {Trial} trial
 * @param {readonly string[]} ids of events of the producer, in the order in which to send them
 * @returns {Promise<number>} how many were sent and confirmed
 */
export async function publishAgain(trial, ids) {
  const { encode } = await built('libs/messaging/src/cloud-event.js');
  const rows = await trial.rows('producer', READ, [[...new Set(ids)]]);
  const messages = new Map(rows.map((row) => [row.id, { type: row.type, text: encode(row, '/producer') }]));
  await publishRaw(
    trial,
    ids.map((id) => {
      const { type, text } = /** @type {{ type: string, text: string }} */ (messages.get(id));
      return {
        key: type,
        content: Buffer.from(text),
        options: { contentType: 'application/cloudevents+json', messageId: id },
      };
    }),
  );
  return ids.length;
}

/**
 * Any bytes, to whoever listens to the producer.
 * @param {Trial} trial
 * @param {readonly { key: string, content: Buffer, options?: import('amqplib').Options.Publish }[]} messages
 */
export async function publishRaw(trial, messages) {
  const connection = await amqp.connect(trial.servers.amqpUrl(trial.vhost));
  try {
    const channel = await connection.createConfirmChannel();
    for (const { key, content, options } of messages) {
      if (!channel.publish('producer.events', key, content, { persistent: true, ...options })) {
        await new Promise((resolve) => channel.once('drain', resolve));
      }
    }
    await channel.waitForConfirms();
  } finally {
    await connection.close();
  }
}

/**
 * Takes messages out of a queue for good, as a consumer of somebody else would; nobody else may be consuming it.
 * @param {Trial} trial
 * @param {string} queue
 * @param {number} count at least so many
 * @returns {Promise<number>} how many it took
 */
export async function takeOut(trial, queue, count) {
  const connection = await amqp.connect(trial.servers.amqpUrl(trial.vhost));
  try {
    const channel = await connection.createChannel();
    await channel.prefetch(count);
    /** @type {import('amqplib').ConsumeMessage[]} */
    const taken = [];
    await channel.consume(queue, (message) => void (message && taken.push(message)));
    await trial.until(`${count} messages were delivered`, () => taken.length >= count);
    for (const message of taken) channel.ack(message);
    await channel.close(); // behind the acknowledgements
    return taken.length;
  } finally {
    await connection.close();
  }
}
