// Rules of the stock. available = onHand − reserved ≥ 0, whatever happens.
import type { StockStatus } from '@app/contracts';

/** How much there is of a product, and how much of it is promised to orders that are not paid for yet. */
export interface Stock {
  readonly onHand: number;
  readonly reserved: number;
}

/** The stock of several products by their SKU. */
export type Stocks = ReadonlyMap<string, Stock>;

/** So much of a product. */
export interface Quantity {
  sku: string;
  quantity: number;
}

/** With this many left, or fewer, a product is scarce. */
const LOW = 5;

export const availableIn = ({ onHand, reserved }: Stock): number => onHand - reserved;

export function statusOf(stock: Stock): StockStatus {
  const available = availableIn(stock);
  if (available === 0) return 'out-of-stock';
  return available <= LOW ? 'low-stock' : 'in-stock';
}

/** The wishes that cannot be granted. Each SKU stands there once. */
export const shortagesOf = (stocks: Stocks, wishes: readonly Quantity[]): Quantity[] =>
  wishes.filter(({ sku, quantity }) => availableIn(stockOf(stocks, sku)) < quantity);

/** An order was placed: its goods are promised. Only without {@link shortagesOf shortages}. */
export const reserve = (stocks: Stocks, goods: readonly Quantity[]): Stocks =>
  changed(stocks, goods, ({ onHand, reserved }, quantity) => ({ onHand, reserved: reserved + quantity }));

/** Orders were cancelled: their goods are free again. */
export const release = (stocks: Stocks, goods: readonly Quantity[]): Stocks =>
  changed(stocks, goods, ({ onHand, reserved }, quantity) => ({ onHand, reserved: reserved - quantity }));

/** An order is paid for: its goods leave. */
export const handOver = (stocks: Stocks, goods: readonly Quantity[]): Stocks =>
  changed(stocks, goods, ({ onHand, reserved }, quantity) => ({
    onHand: onHand - quantity,
    reserved: reserved - quantity,
  }));

function changed(
  stocks: Stocks,
  goods: readonly Quantity[],
  change: (stock: Stock, quantity: number) => Stock,
): Stocks {
  const result = new Map(stocks);
  for (const { sku, quantity } of goods) result.set(sku, change(stockOf(result, sku), quantity));
  return result;
}

function stockOf(stocks: Stocks, sku: string): Stock {
  const stock = stocks.get(sku);
  if (!stock) throw new Error(`The stock of ${sku} is not at hand.`);
  return stock;
}
