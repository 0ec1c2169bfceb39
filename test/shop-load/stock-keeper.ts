// Puts goods on the shelf while they are sold, and keeps account of it: every change says which version it is meant for, so the
// keeper knows by how much each of them changed the stock, whatever was sold meanwhile.
import type { TestHttp } from '@app/testing';
import type { Shop } from '../shop.js';

interface Product {
  version: number;
  stock: { onHand: number };
}

interface Change {
  sku: string;
  /** That it would have led to. */
  version: number;
  delta: number;
}

// What really became of it is written down by the database itself: only a put changes `on_hand` and leaves `reserved` alone.
const WITNESS = `
create schema witness;
create table witness.puts (sku text, version integer, delta integer);
create function witness.note() returns trigger language plpgsql as $$
begin
  insert into witness.puts values (new.sku, new.version, new.on_hand - old.on_hand);
  return null;
end $$;
create trigger witness after update on products for each row
when (old.on_hand <> new.on_hand and old.reserved = new.reserved) execute function witness.note()`;

export class StockKeeper {
  readonly #sums = new Map<string, number>();
  /** Product and version of every change that counts. */
  readonly #counted = new Set<string>();
  /** Their answers got lost when the service was killed. */
  readonly #unanswered: Change[] = [];
  /** One change of a product at a time. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(
    private readonly shop: Shop,
    private readonly http: TestHttp,
  ) {}

  async watch(): Promise<void> {
    await this.shop.rows('orders', WITNESS);
  }

  /** Adds so much of a product, or takes it away. What cannot be taken away, or is answered by nobody, stays as it is. */
  put(sku: string, delta: number): Promise<void> {
    const turn = (this.#turns.get(sku) ?? Promise.resolve()).then(() => this.#put(sku, delta));
    this.#turns.set(sku, turn);
    return turn;
  }

  async #put(sku: string, delta: number): Promise<void> {
    for (let attempt = 0; attempt < 50; attempt++) {
      const { status, body } = await this.http('GET', `/products/${sku}`).catch(() => ({ status: 0, body: undefined }));
      if (status !== 200) return;
      const { version, stock } = body as Product;
      const onHand = stock.onHand + delta;
      if (onHand < 0) return;
      const headers = { 'if-match': `"${version}"` };
      const answer = await this.http('PUT', `/products/${sku}/stock`, { onHand }, headers).catch(() => undefined);
      if (answer?.status === 412) continue; // sold meanwhile
      if (answer?.status === 200) this.#count({ sku, version: version + 1, delta });
      else if (answer?.status !== 409) this.#unanswered.push({ sku, version: version + 1, delta });
      return;
    }
  }

  /** Σ put of every product, once nothing is under way any more. */
  async sums(): Promise<Map<string, number>> {
    for (const change of this.#unanswered.splice(0)) {
      const sql = 'select from witness.puts where sku = $1 and version = $2 and delta = $3';
      const done = await this.shop.rows('orders', sql, change.sku, change.version, change.delta);
      if (done.length > 0) this.#count(change);
    }
    return this.#sums;
  }

  /** Once: what was not done and not answered may have been done by the next attempt, from the same version. */
  #count({ sku, version, delta }: Change): void {
    const change = `${sku} ${version}`;
    if (this.#counted.has(change)) return;
    this.#counted.add(change);
    this.#sums.set(sku, (this.#sums.get(sku) ?? 0) + delta);
  }
}
