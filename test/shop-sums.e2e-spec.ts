// The shop under random load while its services are killed and started again: in the end everything must add up, in both
// databases, at the payment provider and in what clients were told. Here in short; npm run test:shop does it at length.
import { freePort } from '@app/testing';
import type { QueryResultRow } from 'pg';
import { SECRET, startSandbox, type Sandbox } from '../apps/orders/src/orders.fixture.js';
import { untilAtRest } from './shop-load/at-rest.js';
import { check, checkReserved, type Databases } from './shop-load/check.js';
import { ShopLoad, type Told } from './shop-load/load.js';
import { progressOf, report } from './shop-load/report.js';
import { watch } from './shop-load/watch.js';
import { openShop, type ServiceName, type Shop } from './shop.js';

const orders = Number(process.env.SHOP_ORDERS ?? 200);
const seed = process.env.SHOP_SEED ?? Math.random().toString(36).slice(2, 8);
const isLong = process.env.SHOP_ORDERS !== undefined;
const again = `npm run test:shop -- --orders ${orders} --seed ${seed}`;
const any = (status: string, also = '') =>
  `where id = (select id from orders where status = '${status}' ${also} order by id limit 1)`;
/** A wrong amount stays where it was paid. */
const unpaid = 'and id not in (select order_id from payments where held is not null)';
const notificationsAgain = `insert into notifications (user_id, order_id, kind, text)
  select user_id, order_id, kind, text from notifications`;
/** Of orders; in a long run longer than it takes to catch up after a kill, so that most orders do not end by it. */
const TIMEOUT_MS = isLong ? '30000' : '6000';
/** For a busy machine; it usually takes a tenth of it. */
const PATIENCE_MS = 90_000 + orders * 200;

describe(`the shop with ${orders} orders and services that are killed (again: ${again})`, () => {
  let shop: Shop;
  let sandbox: Sandbox;
  let told: Told;
  beforeAll(async () => {
    const port = await freePort();
    shop = await openShop({
      start: false,
      env: {
        ...{ PAYMENT_PROVIDER_URL: `http://127.0.0.1:${port}`, PAYMENT_WEBHOOK_SECRET: SECRET },
        ...{ PAYMENT_TIMEOUT_MS: TIMEOUT_MS, CUSTOMER_TIMEOUT_MS: TIMEOUT_MS, LOG_LEVEL: 'warn' },
      },
    });
    sandbox = await startSandbox(`http://127.0.0.1:${shop.ports.orders}/webhooks/payments`, port);
    await Promise.all([shop.start('users'), shop.start('orders')]);
  }, 180_000);
  afterAll(async () => {
    await shop?.close();
    await sandbox?.stop();
  });

  it(
    'keeps every promise',
    async () => {
      const started = Date.now();
      const moments = watch(() => checkReserved(shop));
      told = await new ShopLoad(shop, sandbox, { orders, seed, onProgress: progressOf(isLong) }).run();
      await untilAtRest(shop, sandbox, PATIENCE_MS);
      const { looks, problems } = await moments.end();
      const found = [...problems, ...(await check(shop, sandbox, told))];
      if (isLong) report(await summary(), told, looks, started, found);
      expect({ again, found: found.slice(0, 20) }).toEqual({ again, found: [] });
      expect(looks).toBeGreaterThan(5);
      expect(told.kills.users + told.kills.orders).toBeGreaterThanOrEqual(3);
    },
    2 * PATIENCE_MS,
  );

  // A checker that finds nothing is worth something only if it would find something.
  it.each<[string, ServiceName, string, RegExp]>([
    ['a product too many', 'orders', `update products set on_hand = on_hand + 1 where sku = 'vase'`, /^vase: .* put$/],
    ['a promise to nobody', 'orders', `update products set reserved = 1 where sku = 'cup'`, /^stock does not balance/],
    ['an order that is gone', 'orders', `delete from orders ${any('confirmed')}`, /taken in, and is not there$/],
    ['an order with no end', 'orders', `update order_history set status = 'placed'`, /: no end$/],
    ['a sale for nothing', 'orders', `update orders set status = 'confirmed' ${any('cancelled', unpaid)}`, /, paid 0$/],
    ['a price that is wrong', 'orders', `update orders set total_minor = 1 + total_minor`, / is not \d+$/],
    ['a lost event', 'orders', `delete from messaging.events where type ~ 'confirmed'`, /, and told placed$/],
    [
      'a change untold',
      'orders',
      `delete from messaging.events where type ~ 'inventory'`,
      /^cup is in-stock, and told undefined$/,
    ],
    ['points too many', 'users', 'update users set points = points + 1', / points and is /],
    ['a tier too high', 'users', `update users set tier = 'gold'`, / is gold, should /],
    ['a missing user', 'users', 'delete from users', /registered, and is not there$/],
    ['a message twice', 'users', notificationsAgain, / its user was told: /],
    ['an old name', 'orders', `update customers set name = 'Mallory'`, /, for orders Mallory/],
  ])('would notice %s', async (_, service, sql, problem) => {
    const client = await shop.database(service).connect();
    try {
      await client.query('begin; set local session_replication_role = replica');
      const { rowCount } = await client.query(sql);
      expect(rowCount).toBeGreaterThan(0);
      const changed: Databases = {
        rows: async <Row extends QueryResultRow>(of: ServiceName, text: string, ...values: unknown[]) =>
          of === service ? (await client.query<Row>(text, values)).rows : shop.rows<Row>(of, text, ...values),
      };
      expect(await check(changed, sandbox, told)).toContainEqual(expect.stringMatching(problem));
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  const summary = () =>
    shop.rows<{ what: string; number: string }>(
      'orders',
      `select 'order ' || status as what, count(*) as number from orders group by status
       union all select 'payment ' || status || case when held is null then '' else ', held' end, count(*)
       from payments group by 1 order by 1`,
    );
});
