// docs/requests.http from top to bottom, as a person sends it: with a moment between two requests, in which events arrive.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { eventually, freePort, httpClient, type TestResponse } from '@app/testing';
import { SECRET, startSandbox, type Sandbox } from '../apps/orders/src/orders.fixture.js';
import { fillIn, parseHttpFile, requestIn, type Answer } from './requests-http.js';
import { openShop, type Shop } from './shop.js';

const { variables, requests } = parseHttpFile(
  readFileSync(path.join(import.meta.dirname, '../docs/requests.http'), 'utf8'),
);

/** What the titles say. */
const CLAIMS: Record<string, object> = {
  'orders has heard of her': { status: 'active', name: 'Alice' },
  'It is paid for and confirmed a moment later': { status: 'confirmed', totalMinor: 10_000 },
  'Only two are left: low-stock': { stock: { onHand: 2, status: 'low-stock' } },
  'users has heard of it: 100 points for 100 EUR': { membership: { points: 100 } },
  'What has happened to her orders': { items: [{ kind: 'order-confirmed' }, { kind: 'order-placed' }] },
  '… is cancelled, and its stock is free again': { status: 'cancelled' },
  'Somebody of whom orders has not heard yet: the order waits for the registration': { status: 'awaiting-customer' },
  'Another name, unless she has changed meanwhile': { name: 'Alice Liddell' },
  'She leaves; open orders are cancelled': { status: 'deactivated' },
  'How the services are': { status: 'ok' },
};

describe('docs/requests.http', () => {
  let shop: Shop;
  let sandbox: Sandbox;
  let here: Record<string, string>;
  const answers = new Map<string, Answer>();
  beforeAll(async () => {
    const port = await freePort();
    const env = { PAYMENT_PROVIDER_URL: `http://127.0.0.1:${port}`, PAYMENT_WEBHOOK_SECRET: SECRET };
    shop = await openShop({ env });
    sandbox = await startSandbox(`http://127.0.0.1:${shop.ports.orders}/webhooks/payments`, port);
    here = {
      users: `http://127.0.0.1:${shop.ports.users}`,
      orders: `http://127.0.0.1:${shop.ports.orders}`,
      provider: sandbox.url,
    };
  }, 180_000);
  afterAll(async () => {
    await shop?.close();
    await sandbox?.stop();
  });

  const send = async (text: string): Promise<TestResponse> => {
    const { method, url, headers, body } = requestIn(fillIn(text, here, answers));
    return httpClient(() => url)(method, '', body, headers);
  };

  it('makes claims in its titles that are checked here', () => {
    expect(requests.length).toBeGreaterThanOrEqual(18);
    expect(Object.keys(CLAIMS).filter((title) => !requests.some((request) => request.title === title))).toEqual([]);
    expect(variables).toEqual({
      users: 'http://localhost:3000',
      orders: 'http://localhost:3001',
      provider: 'http://localhost:3002',
    });
  });

  it.each(requests)('$title ($text)', async ({ title, name, text }) => {
    // Only reading may be repeated: what is read is what the events before it lead to.
    const patience = text.startsWith('GET ') ? {} : { timeoutMs: 0 };
    await eventually(async () => {
      const { status, headers, body } = await send(text);
      expect({ status, body }).toMatchObject({ status: expect.any(Number), body: CLAIMS[title] ?? {} });
      expect([200, 201, 202]).toContain(status);
      if (name) answers.set(name, { headers, body });
    }, patience);
  });
});
