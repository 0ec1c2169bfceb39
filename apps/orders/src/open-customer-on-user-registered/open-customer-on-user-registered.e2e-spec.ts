import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { eventually, type TestService } from '@app/testing';
import { startOrders } from '../orders.fixture.js';

interface ParkedRow {
  state: string;
  error: string | null;
  body: Buffer;
  attempts: number;
  sequence: string | null;
}

describe('OpenCustomerOnUserRegistered', () => {
  let orders: TestService;
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());
  beforeEach(() =>
    orders.database.query('delete from customers; truncate messaging.parked_events, messaging.inbox_pages'),
  );

  const registered = (userId = randomUUID(), name = 'Alice') =>
    new UserRegistered({ userId, name, email: 'alice@example.com' });
  const customers = () => orders.rows<{ user_id: string; name: string }>('select user_id, name from customers');
  const parked = () => orders.rows<ParkedRow>('select * from messaging.parked_events order by id');
  const applied = async () =>
    Number((await orders.rows('select coalesce(sum(applied), 0) as n from messaging.inbox_pages'))[0]!.n);
  const gateOf = async (userId: string) =>
    Number(
      (await orders.rows('select last_sequence from messaging.inbox_streams where subject = $1', userId))[0]
        ?.last_sequence,
    );

  /** Proves that the inbox has worked through everything before: deliveries are taken in their order. */
  const nextIsProcessed = async () => {
    const event = registered();
    await orders.deliver(event);
    await eventually(async () => expect(await customers()).toContainEqual({ user_id: event.userId, name: 'Alice' }));
  };
  const queueIsEmpty = () =>
    eventually(async () => {
      const inbox = (await orders.vhost.queues()).find(({ name }) => name === 'orders.inbox');
      expect(inbox).toMatchObject({ messages: 0, messages_unacknowledged: 0 });
    });

  it('opens a customer', async () => {
    const event = registered();
    await orders.deliver(event);
    await eventually(async () => expect(await customers()).toEqual([{ user_id: event.userId, name: 'Alice' }]));
    expect(await gateOf(event.userId)).toBe(1);
    expect(await parked()).toEqual([]);
    await queueIsEmpty();
  });

  it('opens one customer for an event that is delivered twice', async () => {
    const event = registered();
    const { id } = await orders.deliver(event, { twice: true });
    await nextIsProcessed();
    await orders.deliver(event, { sequence: 1, id, twice: true });
    await nextIsProcessed();
    expect(await customers()).toHaveLength(3);
    expect(await applied()).toBe(3);
    expect(await parked()).toEqual([]);
  });

  it('opens the customers of a batch, each once', async () => {
    const events = Array.from({ length: 100 }, () => registered());
    const batch = events.map((event) => orders.envelope(event));
    await orders.deliverBatch(batch);
    await orders.deliverBatch([...batch].reverse());
    await nextIsProcessed();
    expect(await customers()).toHaveLength(101);
    expect(await applied()).toBe(101);
    expect(await parked()).toEqual([]);
  });

  it('takes an event in binary mode, too', async () => {
    const event = registered();
    const { data, ...attributes } = orders.envelope(event);
    const headers = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [`cloudEvents_${key}`, value]));
    await orders.deliverByHand(UserRegistered, JSON.stringify(data), { headers, content_type: 'application/json' });
    await eventually(async () => expect(await customers()).toEqual([{ user_id: event.userId, name: 'Alice' }]));
  });

  it('ignores what it has no reaction to, and lets its stream go on', async () => {
    const event = registered();
    await orders.deliverByHand(
      UserRegistered,
      JSON.stringify({ ...orders.envelope(event, { sequence: 1 }), type: 'users.user.moved.v1', data: { to: 'Bern' } }),
    );
    await orders.deliver(event, { sequence: 2 });
    await eventually(async () => expect(await customers()).toHaveLength(1));
    expect(await gateOf(event.userId)).toBe(2);
    expect(await parked()).toEqual([]);
  });

  it('parks a version that it does not know, and holds that user only', async () => {
    const event = registered();
    const newer = { ...orders.envelope(event, { sequence: 1 }), type: 'users.user.registered.v2' };
    await orders.deliverByHand(UserRegistered, JSON.stringify(newer));
    await orders.deliver(event, { sequence: 2 });
    await nextIsProcessed();
    await eventually(async () =>
      expect(await parked()).toMatchObject([
        {
          state: 'incompatible',
          sequence: '1',
          attempts: 0,
          error: expect.stringContaining('users.user.registered.v2'),
        },
        { state: 'waiting', sequence: '2' },
      ]),
    );
    expect(await customers()).toHaveLength(1);
    expect(await gateOf(event.userId)).toBeNaN();
    await queueIsEmpty();
  });

  it('parks data that violate the contract, and holds that user only', async () => {
    const event = registered();
    const wrong = { ...orders.envelope(event), data: { userId: event.userId, name: '', email: 'nobody' } };
    await orders.deliverByHand(UserRegistered, JSON.stringify(wrong));
    await nextIsProcessed();
    const [row, ...rest] = await parked();
    expect(rest).toEqual([]);
    expect(row).toMatchObject({ state: 'incompatible', error: expect.stringMatching(/name: .*email: /) });
    expect(JSON.parse(row!.body.toString())).toMatchObject({ id: wrong.id, data: wrong.data });
    expect(await customers()).toHaveLength(1);
  });

  describe('sets a malformed message aside with its bytes and the reason, and goes on:', () => {
    const valid = () => orders.envelope(registered());
    const nested = (depth: number, open: string, close: string) => open.repeat(depth) + '1' + close.repeat(depth);
    const withData = (data: string) => JSON.stringify({ ...valid(), data: '@' }).replace('"@"', data);

    it.each<[string, () => string | Buffer, Record<string, unknown>, RegExp]>([
      ['text', () => 'hello', {}, /not valid JSON/],
      ['nothing', () => '', {}, /not valid JSON/],
      ['NUL characters', () => '\0\0', {}, /not valid JSON/],
      ['bytes that are not UTF-8', () => Buffer.from([0xff, 0xfe, 0x7b]), {}, /not valid UTF-8/],
      ['JSON that is no event', () => '{"userId":"1"}', {}, /not a CloudEvent: specversion/],
      ['a number', () => '42', {}, /not a CloudEvent/],
      ['null', () => 'null', {}, /not a CloudEvent/],
      ['an empty batch', () => '[]', {}, /batch is empty/],
      ['an event without a sequence', () => JSON.stringify({ ...valid(), sequence: undefined }), {}, /sequence/],
      ['a sequence of zero', () => JSON.stringify({ ...valid(), sequence: '0' }), {}, /sequence/],
      ['a sequence beyond all numbers', () => JSON.stringify({ ...valid(), sequence: '9'.repeat(16) }), {}, /sequence/],
      ['an id that is no UUID', () => JSON.stringify({ ...valid(), id: 'x' }), {}, /id/],
      ['a subject with a NUL', () => JSON.stringify({ ...valid(), subject: 'a\0b' }), {}, /subject/],
      ['a subject with half a surrogate pair', () => JSON.stringify({ ...valid(), subject: '\ud800' }), {}, /subject/],
      ['a type with a NUL', () => JSON.stringify({ ...valid(), type: 'users.user.\0.v1' }), {}, /type/],
      ['a foreign id with a NUL', () => JSON.stringify({ ...valid(), source: '/crm', id: 'a\0' }), {}, /id/],
      ['a foreign source with half a pair', () => JSON.stringify({ ...valid(), source: '/\udc00' }), {}, /source/],
      ['a compressed body', () => JSON.stringify(valid()), { content_encoding: 'gzip' }, /content encoding "gzip"/],
      ['arrays 5 000 deep', () => withData(nested(5_000, '[', ']')), {}, /nested deeper/],
      ['objects 5 000 deep', () => withData(nested(5_000, '{"a":', '}')), {}, /nested deeper/],
      ['nesting behind closed brackets', () => withData(nested(5_000, '[[],', ',[]]')), {}, /nested deeper/],
      ['nesting behind brackets in texts', () => withData(nested(5_000, '["]",', ',"]"]')), {}, /nested deeper/],
      ['__proto__', () => withData('{"__proto__":{"admin":true}}'), {}, /"__proto__" is not allowed/],
      ['constructor.prototype', () => withData('{"constructor":{"prototype":{}}}'), {}, /"constructor" is not allowed/],
      ['more than 1 MiB', () => withData(`"${'x'.repeat(1024 * 1024)}"`), {}, /bytes are more than/],
      [
        'binary mode without an id',
        () => '{}',
        { headers: { cloudEvents_specversion: '1.0' } },
        /not a CloudEvent: id/,
      ],
      ['binary mode that is not JSON', () => '<x/>', { headers: { 'cloudEvents:id': '1' } }, /not valid JSON/],
    ])('%s', async (_, message, properties, reason) => {
      const content = message();
      await orders.deliverByHand(UserRegistered, content, properties);
      await nextIsProcessed();
      const [row, ...rest] = await parked();
      expect(rest).toEqual([]);
      expect(row).toMatchObject({ state: 'dead', error: expect.stringMatching(reason), sequence: null });
      expect(row!.body.equals(Buffer.from(content))).toBe(true);
      expect(await customers()).toHaveLength(1);
      expect(({} as { admin?: unknown }).admin).toBeUndefined();
    });

    it('the one bad event of a batch; its neighbours are applied', async () => {
      const [good, bad, alsoGood] = [valid(), { ...valid(), id: 7 }, valid()];
      await orders.deliverByHand(UserRegistered, JSON.stringify([good, bad, alsoGood]));
      await nextIsProcessed();
      expect((await customers()).map(({ user_id }) => user_id)).toEqual(
        expect.arrayContaining([good.subject, alsoGood.subject]),
      );
      expect(await customers()).toHaveLength(3);
      const [row, ...rest] = await parked();
      expect(rest).toEqual([]);
      expect(row).toMatchObject({ state: 'dead', error: expect.stringMatching(/not a CloudEvent: id/) });
      expect(JSON.parse(row!.body.toString())).toEqual(bad);
    });

    it('says where it came from', async () => {
      const properties = { content_type: 'text/plain', message_id: 'm1', app_id: 'by hand', headers: { note: 'oops' } };
      await orders.deliverByHand(UserRegistered, 'hello', properties);
      await nextIsProcessed();
      expect(await parked()).toMatchObject([
        {
          headers: {
            exchange: 'users.events',
            routingKey: 'users.user.registered.v1',
            contentType: 'text/plain',
            messageId: 'm1',
            appId: 'by hand',
            headers: { note: 'oops' },
          },
        },
      ]);
      await queueIsEmpty();
    });
  });
});
