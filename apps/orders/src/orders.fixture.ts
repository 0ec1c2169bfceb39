// The service with the real sandbox of the payment provider beside it, as a process of its own.
import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import {
  eventually,
  freePort,
  httpClient,
  startProcess,
  startTestService,
  type TestService,
  type TestServiceOptions,
} from '@app/testing';
import { ordersVariables } from './config.js';
import type { OrderView } from './order-view.js';
import { OrdersModule } from './orders.module.js';
import type { Quantity } from './stock.js';

export const SECRET = ordersVariables.paymentWebhookSecret.example;

/** Products whose stock does not balance at this moment: what is promised is what open orders hold, and no more than there is. */
export const STOCK_FLAWS = `
select sku, on_hand, reserved, promised from products left join (
  select sku, sum(quantity)::int as promised from order_lines l join orders o on o.id = l.order_id
  where o.status = 'awaiting-payment' group by sku) open using (sku)
where reserved <> coalesce(promised, 0) or reserved < 0 or on_hand < reserved`;

export interface OrdersFixture extends TestService {
  /** Opens a customer, as `users` tells; waits until it is known. */
  customer(): Promise<string>;
  /** Offers a product at 12.50 EUR and puts so much of it on the shelf. @returns its SKU, a new one */
  product(onHand?: number, offer?: { priceMinor?: number; currency?: string }): Promise<string>;
  /** @throws unless it is taken in */
  order(userId: string, ...lines: Quantity[]): Promise<OrderView>;
  read(orderId: string): Promise<OrderView>;
  /** Waits until the order has this status. */
  until(orderId: string, status: OrderView['status']): Promise<OrderView>;
  stock(sku: string): Promise<{ onHand: number; reserved: number; available: number; status: string }>;
  payment(orderId: string): Promise<{ id: string; status: string; held: string | null; reason: string | null }>;
  /** What the service has told of an order, its payment or a product, without the owner and the version. */
  told(subject: string): Promise<{ fact: string; data: Record<string, unknown> }[]>;
}

/** What the provider knows of a payment. */
export interface SandboxPayment {
  orderId: string;
  paymentId: string;
  mode: string;
  capturedMinor: number;
  refundedMinor: number;
}

export interface Sandbox {
  readonly url: string;
  /** How it treats the payments of an order or a user. */
  mode(id: string, mode: string, afterMs?: number): Promise<void>;
  payments(): Promise<SandboxPayment[]>;
  stop(): Promise<unknown>;
}

/** @param webhookUrl where it reports to */
export async function startSandbox(webhookUrl: string, port?: number): Promise<Sandbox> {
  const url = `http://127.0.0.1:${(port ??= await freePort())}`;
  const { stop } = await startProcess(process.execPath, ['tools/payment-provider/main.mjs'], {
    env: {
      PAYMENT_PROVIDER_PORT: String(port),
      PAYMENT_WEBHOOK_URL: webhookUrl,
      PAYMENT_WEBHOOK_SECRET: SECRET,
    },
    readyUrl: `${url}/health/ready`,
  });
  const http = httpClient(() => url);
  return {
    url,
    mode: async (id, mode, afterMs) => {
      const { status } = await http('PUT', `/modes/${id}`, { mode, afterMs });
      if (status !== 200) throw new Error(`the sandbox refused ${mode}`);
    },
    payments: async () => (await http('GET', '/payments')).body as SandboxPayment[],
    stop,
  };
}

/** The service alone. */
export async function startOrders({ env, ...options }: TestServiceOptions = {}): Promise<OrdersFixture> {
  const service = await startTestService(OrdersModule, 'orders', {
    variables: ordersVariables,
    // Nobody listens on port 1: a test that needs the provider starts it.
    env: { PAYMENT_PROVIDER_URL: 'http://127.0.0.1:1', PAYMENT_WEBHOOK_SECRET: SECRET, ...env },
    ...options,
  });
  const { http, rows } = service;
  const read = async (orderId: string) => (await http('GET', `/orders/${orderId}`)).body as OrderView;
  return {
    ...service,
    read,
    customer: async () => {
      const userId = randomUUID();
      await service.deliver(new UserRegistered({ userId, name: 'Alice', email: 'alice@example.com' }));
      await eventually(async () => expect((await http('GET', `/customers/${userId}`)).status).toBe(200));
      return userId;
    },
    product: async (onHand = 100, offer = {}) => {
      const sku = `teapot-${randomUUID().slice(0, 8)}`;
      await http('PUT', `/products/${sku}`, { name: 'Teapot', priceMinor: 1_250, currency: 'EUR', ...offer });
      expect((await http('PUT', `/products/${sku}/stock`, { onHand })).status).toBe(200);
      return sku;
    },
    order: async (userId, ...lines) => {
      const { status, body } = await http('POST', '/orders', { userId, lines });
      if (status !== 202) throw new Error(`${status} ${JSON.stringify(body)}`);
      return body as OrderView;
    },
    until: (orderId, status) =>
      eventually(async () => {
        const order = await read(orderId);
        expect(order).toMatchObject({ id: orderId, status });
        return order;
      }),
    stock: async (sku) => {
      const { body } = await http('GET', `/products/${sku}`);
      return (body as { stock: Awaited<ReturnType<OrdersFixture['stock']>> }).stock;
    },
    payment: async (orderId) => {
      const [payment] = await rows<Awaited<ReturnType<OrdersFixture['payment']>>>(
        'select id, status, held, reason from payments where order_id = $1',
        orderId,
      );
      return payment!;
    },
    told: async (subject) => {
      const events = (await service.sentBy()).filter((event) => event.subject === subject);
      return events.map(({ type, data }) => ({ fact: type.replace(/^orders\.|\.v1$/g, ''), data }));
    },
  };
}

/** The service with the sandbox beside it. `stop` ends both. */
export async function startOrdersAndSandbox(
  options: TestServiceOptions = {},
): Promise<OrdersFixture & { sandbox: Sandbox }> {
  const port = await freePort();
  const sandbox = await startSandbox(`http://127.0.0.1:${port}/webhooks/payments`);
  const env = { ORDERS_PORT: String(port), PAYMENT_PROVIDER_URL: sandbox.url, ...options.env };
  const orders = await startOrders({ ...options, env });
  return { ...orders, sandbox, stop: () => orders.stop().finally(() => sandbox.stop()) };
}
