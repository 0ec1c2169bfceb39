import { Database, newId, type Transaction } from '@app/database';
import { ConflictProblem, UnprocessableProblem, type ProblemError } from '@app/service';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { sql } from 'kysely';
import { totalOf, type PricedLine } from '../money.js';
import { OrderProcess } from '../order-process.js';
import { readOrder, type OrderView } from '../order-view.js';
import type { Quantity } from '../stock.js';
import type { OrdersTables } from '../tables.js';

type Tx = Transaction<OrdersTables>;

/** Orders goods. Somebody who is not known as a user yet may be soon: then the order waits. */
export class PlaceOrder extends Command<OrderView> {
  constructor(
    readonly userId: string,
    readonly lines: readonly Quantity[],
  ) {
    super();
  }
}

@CommandHandler(PlaceOrder)
export class PlaceOrderHandler implements ICommandHandler<PlaceOrder> {
  constructor(
    private readonly database: Database<OrdersTables>,
    private readonly process: OrderProcess,
  ) {}

  execute({ userId, lines }: PlaceOrder): Promise<OrderView> {
    return this.database.transaction(async (tx) => {
      const { status, tier } = await findOrOpenCustomer(tx, userId);
      if (status === 'deactivated') throw unprocessable('The account is closed.', '#/userId', 'is closed');
      const order = await insertOrder(tx, userId, await quote(tx, lines));
      if (status === 'unknown') await this.process.awaitCustomer(tx, order);
      else refuseShortages(lines, await this.process.place(tx, order, tier));
      return readOrder(tx, order.id);
    });
  }
}

/** Locked, so that registration, deactivation and another tier come either before this order or after it. */
async function findOrOpenCustomer(tx: Tx, userId: string) {
  await tx
    .insertInto('customers')
    .values({ user_id: userId, status: 'unknown' })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return tx
    .selectFrom('customers')
    .select(['status', 'tier'])
    .where('user_id', '=', userId)
    .forShare()
    .executeTakeFirstOrThrow();
}

interface Quote {
  currency: string;
  lines: (Quantity & PricedLine)[];
}

/** What the products cost now. */
async function quote(tx: Tx, wishes: readonly Quantity[]): Promise<Quote> {
  const skus = wishes.map(({ sku }) => sku);
  const found = await tx
    .selectFrom('products')
    .select(['sku', 'price_minor', 'currency'])
    .where('sku', 'in', skus)
    .execute();
  const products = new Map(found.map((product) => [product.sku, product]));
  const unknown = wishes.flatMap(({ sku }, n) =>
    products.has(sku) ? [] : [at(`#/lines/${n}/sku`, 'is not for sale')],
  );
  if (unknown.length > 0) throw new UnprocessableProblem('There is no such product.', { errors: unknown });
  const [currency = '', ...others] = new Set(skus.map((sku) => products.get(sku)!.currency));
  if (others.length > 0) {
    throw unprocessable(`One order, one currency: not ${[currency, ...others].join(' and ')}.`, '#/lines', 'are mixed');
  }
  const lines = wishes.map((wish) => ({ ...wish, unitPriceMinor: Number(products.get(wish.sku)!.price_minor) }));
  return { currency, lines };
}

async function insertOrder(tx: Tx, user_id: string, { currency, lines }: Quote) {
  const order = { id: newId(), user_id, currency };
  const { discountMinor: discount_minor, totalMinor: total_minor } = totalOf(lines, 'standard');
  await tx
    .insertInto('orders')
    .values({ ...order, status: 'awaiting-customer', discount_minor, total_minor, due_at: sql`now()` })
    .execute();
  await tx
    .insertInto('order_lines')
    .values(
      lines.map(({ sku, quantity, unitPriceMinor: unit_price_minor }, n) => ({
        ...{ order_id: order.id, line: n + 1 },
        ...{ sku, quantity, unit_price_minor },
      })),
    )
    .execute();
  return order;
}

function refuseShortages(lines: readonly Quantity[], shortages: readonly Quantity[]): void {
  if (shortages.length === 0) return;
  const short = new Set(shortages.map(({ sku }) => sku));
  const errors = lines.flatMap(({ sku }, n) =>
    short.has(sku) ? [at(`#/lines/${n}/quantity`, `is more of ${sku} than is available`)] : [],
  );
  throw new ConflictProblem(`Out of stock: ${[...short].join(', ')}.`, { errors });
}

const at = (pointer: string, detail: string): ProblemError => ({ detail, pointer });

const unprocessable = (detail: string, pointer: string, why: string) =>
  new UnprocessableProblem(detail, { errors: [at(pointer, why)] });
