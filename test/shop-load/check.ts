// Compares what clients were told, what the payment provider did and what is in both databases, when all is at rest. It counts
// for itself: none of the services' own sums is believed.
import { STOCK_FLAWS, type Sandbox } from '../../apps/orders/src/orders.fixture.js';
import type { Shop } from '../shop.js';
import { checkMembers } from './check-members.js';
import type { Told } from './load.js';

/** Both databases. */
export type Databases = Pick<Shop, 'rows'>;

/** An order as its rows tell it. */
export interface OrderFacts {
  id: string;
  user_id: string;
  status: string;
  discount: number;
  total: number;
  lines: number;
  path: string;
  reason: string | null;
}

const ORDERS = `
select o.id, o.user_id, o.status, o.discount_minor::float8 as discount, o.total_minor::float8 as total,
  (select sum(quantity * unit_price_minor)::float8 from order_lines where order_id = o.id) as lines,
  (select string_agg(status, ' ' order by id) from order_history where order_id = o.id) as path,
  (select string_agg(reason, '; ') from order_history where order_id = o.id) as reason
from orders o`;
const STOCK = `
select sku, on_hand, reserved, coalesce((
  select sum(l.quantity) from order_lines l join orders o on o.id = l.order_id
  where l.sku = p.sku and o.status = 'confirmed'), 0)::int as sold
from products p`;
/** @returns what is wrong, one sentence each; empty: everything balances */
export async function check(shop: Databases, sandbox: Sandbox, told: Told): Promise<string[]> {
  const orders = await shop.rows<OrderFacts>('orders', ORDERS);
  return [
    ...told.problems,
    ...checkOrders(orders, told),
    ...(await checkStock(shop, told)),
    ...(await checkReserved(shop)),
    ...(await checkMoney(shop, sandbox, orders)),
    ...(await checkEvents(shop, orders)),
    ...(await checkMembers(shop, orders, told)),
  ];
}

/** May be asked while there is load: it looks at one moment. */
export const checkReserved = async (shop: Databases): Promise<string[]> =>
  (await shop.rows('orders', STOCK_FLAWS)).map((row) => `stock does not balance: ${JSON.stringify(row)}`);

function checkOrders(orders: readonly OrderFacts[], told: Told): string[] {
  const known = new Map(orders.map((order) => [order.id, order]));
  const lost = [...told.orders].filter(([id, userId]) => known.get(id)?.user_id !== userId);
  return [
    ...lost.map(([id]) => `order ${id} was taken in, and is not there`),
    ...orders.filter(({ id }) => !told.orders.has(id)).map(({ id }) => `order ${id} was never asked for, or twice`),
    ...orders.flatMap((order) => flawsOf(order).map((flaw) => `order ${order.id} (${order.path}): ${flaw}`)),
  ];
}

function flawsOf({ status, path, reason, lines, discount, total }: OrderFacts): string[] {
  const flaws = [];
  if (!/^(awaiting-customer )?(placed awaiting-payment (confirmed|cancelled)|cancelled)$/.test(path))
    flaws.push('no end');
  if (!path.endsWith(status)) flaws.push(`is ${status}`);
  if ((status === 'cancelled') !== (reason !== null)) flaws.push(`its reason is ${reason}`);
  if (lines - discount !== total) flaws.push(`${lines} − ${discount} is not ${total}`);
  if (![0, 5, 10].some((percent) => Math.round((lines * percent) / 100) === discount))
    flaws.push(`discount ${discount}`);
  return flaws;
}

async function checkStock(shop: Databases, { put }: Told): Promise<string[]> {
  const rows = await shop.rows<{ sku: string; on_hand: number; reserved: number; sold: number }>('orders', STOCK);
  return rows.flatMap(({ sku, on_hand, reserved, sold }) => [
    ...(reserved === 0 ? [] : [`${reserved} of ${sku} are still promised`]),
    ...(on_hand + sold === put.get(sku) ? [] : [`${sku}: ${on_hand} there and ${sold} sold, but ${put.get(sku)} put`]),
  ]);
}

async function checkMoney(shop: Databases, sandbox: Sandbox, orders: readonly OrderFacts[]): Promise<string[]> {
  const held = await shop.rows<{ order_id: string }>('orders', 'select order_id from payments where held is not null');
  const someoneLooks = new Set(held.map(({ order_id }) => order_id));
  const payments = await sandbox.payments();
  const kept = new Map<string, number>();
  for (const { orderId, capturedMinor, refundedMinor } of payments) {
    kept.set(orderId, (kept.get(orderId) ?? 0) + capturedMinor - refundedMinor);
  }
  const wrong = payments.filter(({ mode, orderId }) => mode === 'wrong-amount' && !someoneLooks.has(orderId));
  const due = ({ id, status, total }: OrderFacts) => {
    if (status === 'confirmed') return total;
    return someoneLooks.has(id) ? total + 1 : 0; // one too much was captured, and waits for a person
  };
  return [
    ...wrong.map(({ orderId }) => `order ${orderId} was paid with a wrong amount, and nobody is told`),
    ...orders
      .filter((order) => (kept.get(order.id) ?? 0) !== due(order))
      .map(
        (order) => `order ${order.id} is ${order.status}, its price ${order.total}, paid ${kept.get(order.id) ?? 0}`,
      ),
  ];
}

const EVENTS = `
select subject, string_agg(split_part(type, '.', 3), ' ' order by sequence) as facts
from messaging.events where aggregate = 'orders.order' group by subject`;
const STOCK_EVENTS = `
select p.sku, (select jsonb_agg(jsonb_build_array(data ->> 'previous', data ->> 'status') order by sequence)
  from messaging.events where aggregate = 'orders.inventory' and subject = p.sku) as changes,
  case when on_hand - reserved = 0 then 'out-of-stock' when on_hand - reserved <= 5 then 'low-stock' else 'in-stock' end
  as status
from products p`;

/** Of each thing that happened one event, in its order. */
async function checkEvents(shop: Databases, orders: readonly OrderFacts[]): Promise<string[]> {
  const rows = await shop.rows<{ subject: string; facts: string }>('orders', EVENTS);
  const facts = new Map(rows.map((row) => [row.subject, row.facts]));
  const expected = ({ path }: OrderFacts) => path.replace(/awaiting-\w+ /g, '');
  const products = await shop.rows<{ sku: string; changes: [string, string][] | null; status: string }>(
    'orders',
    STOCK_EVENTS,
  );
  return [
    ...orders
      .filter((order) => facts.get(order.id) !== expected(order))
      .map((order) => `order ${order.id} went ${order.path}, and told ${facts.get(order.id)}`),
    ...products
      .filter(({ changes, status }) => !isChain([['', 'out-of-stock'], ...(changes ?? [])], status))
      .map(({ sku, changes, status }) => `${sku} is ${status}, and told ${JSON.stringify(changes?.slice(-5))}`),
  ];
}

/** Each change begins where the one before has ended. */
const isChain = (changes: [string, string][], end: string): boolean =>
  changes.every(([, to], n) => to === (changes[n + 1]?.[0] ?? end));
