import { randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { SECRET, startOrders, type OrdersFixture } from '../orders.fixture.js';

describe('POST /webhooks/payments', () => {
  let orders: OrdersFixture;
  let payment: { id: string; orderId: string; sku: string };
  beforeAll(async () => (orders = await startOrders()));
  afterAll(() => orders?.stop());
  beforeEach(async () => {
    const [userId, sku] = [await orders.customer(), await orders.product(10)];
    const { id: orderId } = await orders.order(userId, { sku, quantity: 2 });
    payment = { id: (await orders.payment(orderId)).id, orderId, sku };
  });

  const bodyOf = (change: object = {}, type = 'payment.completed') =>
    JSON.stringify({
      type,
      timestamp: new Date().toISOString(),
      data: { paymentId: payment.id, reference: 'pay_1', amountMinor: 2_500, currency: 'EUR', ...change },
    });
  interface How {
    id?: string;
    secret?: string;
    at?: Date;
    signature?: string;
  }
  /** Sends a webhook, signed as the provider does unless told otherwise. */
  const send = (body: string, { id = randomUUID(), secret = SECRET, at = new Date(), signature }: How = {}) =>
    orders.http('POST', '/webhooks/payments', body, {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': signature ?? new Webhook(secret).sign(id, at, body),
    });
  const status = async () => (await orders.read(payment.orderId)).status;

  it('takes what is signed with the secret, over the bytes as they are', async () => {
    expect(await send(bodyOf().replaceAll('":', '" :  '))).toMatchObject({ status: 204, body: '' });
    expect(await status()).toBe('confirmed');
  });

  it('takes one signature of several, while the provider changes its secret', async () => {
    const [id, at, body] = [randomUUID(), new Date(), bodyOf()];
    const signature = `v1,bm90IHRoaXMgb25l v1a,xyz ${new Webhook(SECRET).sign(id, at, body)}`;
    expect(await send(body, { id, at, signature })).toMatchObject({ status: 204 });
  });

  it.each<[string, How | ((body: string) => How)]>([
    ['another secret', { secret: `whsec_${Buffer.alloc(24).toString('base64')}` }],
    ['an old signature', { at: new Date(Date.now() - 6 * 60_000) }],
    ['a signature from the future', { at: new Date(Date.now() + 6 * 60_000) }],
    ['the signature of another body', (body) => ({ signature: new Webhook(SECRET).sign('x', new Date(), `${body} `) })],
    ['no signature', { signature: '' }],
    ['nonsense', { signature: 'v1' }],
  ])('refuses %s with 401, whatever the body', async (_, how) => {
    for (const body of [bodyOf(), '{}']) {
      const answer = await send(body, typeof how === 'function' ? how(body) : how);
      expect(answer).toMatchObject({ status: 401, body: { title: 'Unauthorized' } });
    }
    expect(await status()).toBe('awaiting-payment');
  });

  it('counts each webhook-id once, and the first outcome', async () => {
    const id = randomUUID();
    expect(await send(bodyOf(), { id })).toMatchObject({ status: 204 });
    expect(await send(bodyOf(), { id })).toMatchObject({ status: 204 });
    expect(await send(bodyOf())).toMatchObject({ status: 204 });
    expect(await send(bodyOf({}, 'payment.failed'))).toMatchObject({ status: 204 });
    expect(await status()).toBe('confirmed');
    expect((await orders.told(payment.orderId)).map(({ fact }) => fact)).toEqual(['order.placed', 'order.confirmed']);
    expect((await orders.told(payment.id)).map(({ fact }) => fact)).toEqual(['payment.completed']);
    expect(await orders.stock(payment.sku)).toMatchObject({ onHand: 8, reserved: 0 });
  });

  it('forgets webhooks that nobody repeats any more, ten at a time', async () => {
    await orders.database.query('truncate payment_webhooks');
    await orders.database.query(
      `insert into payment_webhooks select 'old ' || n, now() - interval '30 days' - n * interval '1 s' from generate_series(1, 12) n
       union all select 'young', now() - interval '29 days'`,
    );
    const known = async () =>
      (await orders.rows<{ id: string }>('select id from payment_webhooks')).map(({ id }) => id);
    await send(bodyOf(), { id: 'first' });
    expect((await known()).sort()).toEqual(['first', 'old 1', 'old 2', 'young']);
    await send(bodyOf(), { id: 'old 1' });
    await send(bodyOf(), { id: 'last' });
    expect((await known()).sort()).toEqual(['first', 'last', 'young']);
  });

  it('lets exactly one of racing reports win', async () => {
    const failed = bodyOf({}, 'payment.failed');
    const answers = await Promise.all([bodyOf(), failed, bodyOf(), failed, bodyOf()].map((body) => send(body)));
    expect(answers.map((answer) => answer.status)).toEqual([204, 204, 204, 204, 204]);
    const facts = (await orders.told(payment.id)).map(({ fact }) => fact);
    expect(facts).toEqual([(await status()) === 'confirmed' ? 'payment.completed' : 'payment.failed']);
  });

  it('answers 404 to an unknown payment, and takes the same webhook once it is known', async () => {
    const id = randomUUID();
    expect(await send(bodyOf({ paymentId: randomUUID() }), { id })).toMatchObject({ status: 404 });
    expect(await send(bodyOf(), { id })).toMatchObject({ status: 204 });
    expect(await status()).toBe('confirmed');
  });

  it('answers 400 to what is signed but not understood', async () => {
    expect(await send(bodyOf({ amountMinor: '2500' }))).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '#/data/amountMinor' }] },
    });
    expect(await send(bodyOf({}, 'payment.vanished'))).toMatchObject({ status: 400 });
    expect(await send(bodyOf(), { id: 'x'.repeat(201) })).toMatchObject({ status: 400 });
  });

  it('shows since when a refund is under way, until it is reported', async () => {
    const age = async () =>
      Number(
        /^payments_refunding_oldest_age_seconds (\S+)$/m.exec(
          (await orders.http('GET', '/metrics')).body as string,
        )?.[1],
      );
    expect(await age()).toBe(0);
    await orders.http('POST', `/orders/${payment.orderId}/cancel`);
    await send(bodyOf());
    expect(await orders.payment(payment.orderId)).toMatchObject({ status: 'refunding' });
    expect(await age()).toBeGreaterThan(0);
    expect(await send(bodyOf({}, 'payment.refunded'))).toMatchObject({ status: 204 });
    expect(await orders.payment(payment.orderId)).toMatchObject({ status: 'refunded' });
    expect(await age()).toBe(0);
  });

  it('holds a payment that failed and is completed after all', async () => {
    await send(bodyOf({}, 'payment.failed'));
    expect(await send(bodyOf())).toMatchObject({ status: 204 });
    expect(await orders.payment(payment.orderId)).toMatchObject({
      status: 'failed',
      held: 'reported as completed after it had failed',
    });
    expect(await status()).toBe('cancelled');
  });
});
