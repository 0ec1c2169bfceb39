import { randomUUID } from 'node:crypto';
import type { ConsumeMessage } from 'amqplib';
import { BOOKS_ANSWER } from '../books/protocol.js';
import { takeDeliveries } from './delivery.js';

const DEAD = 'orders.inbox.dead';

/** As amqplib hands it over. */
const message = (exchange: string, type: string, body: object) =>
  ({
    content: Buffer.from(JSON.stringify(body)),
    fields: { exchange, routingKey: 'orders.inbox', redelivered: false },
    properties: { type, contentType: 'application/json', headers: {} },
  }) as unknown as ConsumeMessage;

describe('what is taken from a queue', () => {
  const answer = { source: '/users', epoch: randomUUID(), settled: 3, published: 2, groups: [] };
  const take = (...messages: ConsumeMessage[]) => takeDeliveries(messages, 100, () => true, DEAD);

  it('may be an answer about the books, if it comes through a replay exchange', () => {
    expect(take(message('users.replay', BOOKS_ANSWER, answer))).toMatchObject([{ answer, items: [], unreadable: [] }]);
  });

  it('is unreadable if it comes from elsewhere and says that it is an answer', () => {
    const [delivery] = take(message('users.events', BOOKS_ANSWER, answer));
    expect(delivery).toMatchObject({
      items: [],
      unreadable: [{ reason: expect.stringContaining('not a CloudEvent') }],
    });
    expect(delivery).not.toHaveProperty('answer');
  });

  it('says of each event whether it was delivered before', () => {
    const event = { specversion: '1.0', id: '1', source: '/crm', type: 'crm.lead' };
    const again = message('crm.events', event.type, event);
    again.fields.redelivered = true;
    const deliveries = takeDeliveries([message('crm.events', event.type, event), again], 100, () => false, DEAD);
    expect(deliveries.flatMap(({ items }) => items)).toMatchObject([{ redelivered: false }, { redelivered: true }]);
  });

  it('is dropped if the broker gave up on it and it was an answer, which is old and will be asked for again', () => {
    const [delivery] = take(message(DEAD, BOOKS_ANSWER, answer));
    expect(delivery).toMatchObject({ items: [], unreadable: [], givenUp: true });
    expect(delivery).not.toHaveProperty('answer');
  });
});
