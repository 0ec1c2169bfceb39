// Brings events to the service under test, as the relays of other services do. The envelope is written down here once more,
// independently of the code under test, so that a change of the wire format is noticed.
import { randomUUID } from 'node:crypto';
import { contractOf, type AnyEventClass } from '@app/contracts';
import { connect, type ChannelModel, type ConfirmChannel } from 'amqplib';
import type { TestVhost } from './test-vhost.js';

/** Where an event stands in its stream; by default it is the next one of its subject. */
export interface Place {
  sequence?: number;
  epoch?: string;
  id?: string;
  page?: number;
}

/** The attributes on the wire. */
export type TestEnvelope = Record<string, unknown> & { id: string; type: string; subject: string; sequence: string };

export interface Courier {
  /** The event as it travels; takes the next sequence of its subject, unless told which. */
  envelope(event: object, place?: Place): TestEnvelope;
  /** Publishes an event, confirmed by the broker, alone – `twice`: and once more. */
  deliver(event: object, place?: Place & { twice?: boolean }): Promise<TestEnvelope>;
  /** Publishes envelopes of one type in one message. */
  deliverBatch(envelopes: readonly TestEnvelope[]): Promise<void>;
  /** Publishes any bytes where events of `contract` are expected, by hand through the management API. */
  deliverByHand(contract: AnyEventClass, content: string | Buffer, properties?: Record<string, unknown>): Promise<void>;
  close(): Promise<void>;
}

export function courierTo(vhost: TestVhost): Courier {
  const sequences = new Map<string, number>();
  const ownEpoch = randomUUID();
  let position = 0;
  let connection: Promise<{ model: ChannelModel; channel: ConfirmChannel }> | undefined;

  const open = async () => {
    const model = await connect(vhost.url, { clientProperties: { connection_name: 'test courier' } });
    return { model, channel: await model.createConfirmChannel() };
  };
  const envelope: Courier['envelope'] = (event, { sequence, epoch = ownEpoch, id = randomUUID(), page = 1 } = {}) => {
    const { type, owner, aggregate, subject: field } = contractOf(event);
    const subject = String((event as Record<string, unknown>)[field]);
    const stream = `${epoch} ${aggregate} ${subject}`;
    const next = sequence ?? (sequences.get(stream) ?? 0) + 1;
    sequences.set(stream, next);
    position += 1;
    return {
      specversion: '1.0',
      id,
      source: `/${owner}`,
      type,
      subject,
      sequence: String(next),
      epoch,
      page: String(page),
      position: String(position),
      time: new Date().toISOString(),
      datacontenttype: 'application/json',
      correlationid: `test-${id}`,
      data: { ...event },
    };
  };
  const publish = async (content: string, contentType: string, { id, type }: TestEnvelope) => {
    const { channel } = await (connection ??= open());
    const properties = { messageId: id, type, contentType, contentEncoding: 'utf-8', persistent: true };
    await new Promise<void>((resolve, reject) => {
      channel.publish(exchangeOf(type), type, Buffer.from(content), properties, (error) =>
        error ? reject(error as Error) : resolve(),
      );
    });
  };
  return {
    envelope,
    deliver: async (event, { twice = false, ...place } = {}) => {
      const sent = envelope(event, place);
      for (let copies = twice ? 2 : 1; copies > 0; copies--) {
        await publish(JSON.stringify(sent), 'application/cloudevents+json', sent);
      }
      return sent;
    },
    deliverBatch: async (envelopes) =>
      publish(JSON.stringify(envelopes), 'application/cloudevents-batch+json', envelopes[0]!),
    deliverByHand: async (contract, content, properties = {}) => {
      const exchange = encodeURIComponent(exchangeOf(contract.type));
      const { routed } = await vhost.api<{ routed: boolean }>('POST', `exchanges/${vhost.name}/${exchange}/publish`, {
        routing_key: contract.type,
        payload: Buffer.from(content).toString('base64'),
        payload_encoding: 'base64',
        properties,
      });
      if (!routed) throw new Error(`nobody listens to ${contract.type}`);
    },
    close: async () => void (await (await connection)?.model.close()),
  };
}

const exchangeOf = (type: string): string => `${type.slice(0, type.indexOf('.'))}.events`;
