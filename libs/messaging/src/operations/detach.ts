// Takes a service that was removed away from the broker: its queues would otherwise fill for ever.
import { connect, type Channel, type ChannelModel } from 'amqplib';
import { inboxNamesOf, namesOf } from '../options.js';
import { OperationError, type Effect } from './operation.js';

/** Something of a service that lies at the broker. */
export interface BrokerObject {
  kind: 'queue' | 'exchange';
  name: string;
  messages?: number;
  consumers?: number;
}

/**
 * What a service (or one of its further inboxes) has at the broker. Its event exchange is listed, but stays if others listen
 * to it.
 *
 * @throws {@link OperationError} if there is nothing, or the broker cannot be reached
 */
export async function attachments(urls: readonly string[], service: string, inbox?: string): Promise<BrokerObject[]> {
  return withConnection(urls, async (model) => {
    const { queue, dead } = inboxNamesOf(service, inbox);
    const { replay, replayRequests, exchange } = namesOf(service);
    const queues = inbox ? [queue, dead] : [queue, dead, replayRequests];
    const exchanges = inbox ? [dead] : [dead, replay, exchange];
    const found: BrokerObject[] = [];
    for (const name of queues) {
      const state = await inspect(model, (channel) => channel.checkQueue(name));
      if (state) found.push({ kind: 'queue', name, messages: state.messageCount, consumers: state.consumerCount });
    }
    for (const name of exchanges) {
      if (await inspect(model, (channel) => channel.checkExchange(name))) found.push({ kind: 'exchange', name });
    }
    if (found.length > 0) return found;
    const what = inbox ? `an inbox "${inbox}" of "${service}"` : `a service "${service}"`;
    throw new OperationError('not-found', `The broker knows nothing of ${what}.`);
  });
}

/**
 * Deletes them, for good: queues with their bindings and messages, exchanges of its own. Its database is not touched, so a
 * service that is started again gets everything that it missed.
 *
 * @throws {@link OperationError} while somebody consumes from one of the queues
 */
export async function detach(
  urls: readonly string[],
  found: readonly BrokerObject[],
): Promise<Effect & { kept: string[] }> {
  const busy = found.find(({ consumers }) => consumers);
  if (busy) {
    throw new OperationError(
      'conflict',
      `${busy.consumers} process(es) still consume from ${busy.name} and would make it again: stop the service first.`,
    );
  }
  return withConnection(urls, async (model) => {
    const kept: string[] = [];
    for (const { kind, name } of found) {
      const gone = await inspect(model, (channel) =>
        kind === 'queue'
          ? channel.deleteQueue(name, { ifUnused: true })
          : channel.deleteExchange(name, { ifUnused: true }),
      );
      if (!gone) kept.push(name);
    }
    return { affected: found.length - kept.length, kept };
  });
}

/** On a channel of its own, because a refusal closes it. `undefined`: there is no such thing, or it is in use. */
async function inspect<T>(model: ChannelModel, work: (channel: Channel) => Promise<T>): Promise<T | undefined> {
  const channel = await model.createChannel();
  let refused = false;
  channel.on('error', () => (refused = true));
  try {
    return await work(channel);
  } catch (error) {
    const { code } = error as { code?: number };
    if (code === 404 || code === 406) return undefined;
    throw error;
  } finally {
    if (!refused) await channel.close().catch(() => {});
  }
}

async function withConnection<T>(urls: readonly string[], work: (model: ChannelModel) => Promise<T>): Promise<T> {
  let last: unknown;
  for (const url of urls) {
    let model: ChannelModel;
    try {
      model = await connect(url, { timeout: 5_000, clientProperties: { connection_name: 'events' } });
    } catch (error) {
      last = error;
      continue;
    }
    model.on('error', () => {});
    try {
      return await work(model);
    } finally {
      await model.close().catch(() => {});
    }
  }
  throw new OperationError('conflict', `RabbitMQ cannot be reached: ${(last as Error)?.message ?? 'no address'}`);
}
