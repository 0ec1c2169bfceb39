// What goes on in a shop, all at once: people register, order, cancel and leave, payments are approved, declined, late, reported
// twice, with a wrong amount or never, the last ones of a product are fought for, and the shelves are filled again.
import { setTimeout as delay } from 'node:timers/promises';
import { v4 as uuidv4 } from 'uuid';
import type { Sandbox } from '../../apps/orders/src/orders.fixture.js';
import { randomFrom } from '../faults/harness/random.mjs';
import type { ServiceName, Shop } from '../shop.js';
import { killAndRestart } from './chaos.js';
import { Client } from './client.js';
import { StockKeeper } from './stock-keeper.js';

type Random = ReturnType<typeof randomFrom>;

const CLIENTS = 12;
const PLENTY = 1_000_000;
const PRODUCTS = [
  ...['cup', 'pot', 'tea'].map((sku, n) => ({
    sku,
    priceMinor: [1, 333, 24_999][n]!,
    currency: 'EUR',
    onHand: PLENTY,
  })),
  ...['vase', 'lamp', 'clock'].map((sku) => ({ sku, priceMinor: 1_250, currency: 'EUR', onHand: 4 })),
  { sku: 'dollar', priceMinor: 999, currency: 'USD', onHand: PLENTY },
];
const SCARCE = PRODUCTS.filter(({ onHand }) => onHand < PLENTY).map(({ sku }) => sku);
/** How the provider treats the payments of a user; as often as they stand here. */
const MODES = [
  ...Array.from({ length: 14 }, () => 'approve'),
  ...['decline', 'decline', 'duplicate', 'duplicate', 'late', 'late', 'timeout', 'wrong-amount'],
];

export interface LoadOptions {
  orders: number;
  seed: string;
  onProgress: (ordered: number, of: number) => void;
}

/** What the clients know of it. */
export interface Told {
  /** Every order that was taken in, and whose it is. */
  orders: ReadonlyMap<string, string>;
  users: readonly string[];
  /** Σ put of every product. */
  put: ReadonlyMap<string, number>;
  problems: readonly string[];
  repeated: number;
  kills: Record<ServiceName, number>;
  refused: number;
}

export class ShopLoad {
  readonly #client = new Client();
  readonly #orders = new Map<string, string>();
  readonly #users: string[] = [];
  readonly #leaving = new Set<string>();
  readonly #keeper: StockKeeper;
  #refused = 0;

  constructor(
    private readonly shop: Shop,
    private readonly sandbox: Sandbox,
    private readonly options: LoadOptions,
  ) {
    this.#keeper = new StockKeeper(shop, this.#http('orders'));
  }

  /** Through whichever process is running at the moment. */
  #http =
    (service: ServiceName): Shop['users']['http'] =>
    (...request) =>
      this.shop[service].http(...request);

  async run(): Promise<Told> {
    const { orders, seed } = this.options;
    await this.#open();
    const each = Array.from({ length: CLIENTS }, (_, n) => Math.floor((orders + n) / CLIENTS));
    const betweenKills = Math.max(40, Math.min(1_000, Math.floor(orders / 5)));
    const chaos = killAndRestart(this.shop, randomFrom(`${seed} kills`), (kills) => {
      if (this.#orders.size >= orders) return 'no more';
      return this.#orders.size >= (kills + 1) * betweenKills ? 'yes' : 'not yet';
    });
    await Promise.all(each.map((count, n) => this.#visit(randomFrom(`${seed} client ${n}`), count)));
    const kills = await chaos;
    return {
      ...{ orders: this.#orders, users: this.#users, put: await this.#keeper.sums(), kills },
      ...{ problems: this.#client.problems, repeated: this.#client.repeated, refused: this.#refused },
    };
  }

  async #open(): Promise<void> {
    await this.#keeper.watch();
    for (const { sku, onHand, ...offer } of PRODUCTS) {
      await this.#client.insist(this.#http('orders'), () => [201], 'PUT', `/products/${sku}`, { name: sku, ...offer });
      await this.#keeper.put(sku, onHand);
    }
    const random = randomFrom(`${this.options.seed} users`);
    for (let n = 0; n < 20; n++) await this.#register(random);
  }

  /** One client, until so many of its orders are taken in, who does other things in between. */
  async #visit(random: Random, orders: number): Promise<void> {
    for (let taken = 0; taken < orders;) {
      const what = random.below(100);
      // Mostly those who registered last, so that orders of one user meet, and meet their registration and their leaving.
      let userId = this.#users.at(-1 - random.below(Math.min(15, this.#users.length)))!;
      if (what < 6) userId = await this.#register(random);
      if (what === 6) userId = uuidv4();
      if (await this.#order(random, userId)) {
        taken += 1;
        this.options.onProgress(this.#orders.size, this.options.orders);
      }
      if (what >= 90) await this.#doSomethingElse(random, what, userId);
    }
  }

  async #doSomethingElse(random: Random, what: number, userId: string): Promise<void> {
    if (what < 94) return this.#keeper.put(random.pick(SCARCE), random.pick([5, 3, 8, -1]));
    if (what < 97) return this.#cancel(random);
    if (what < 98) return this.#leave(userId);
    if (what < 99) return this.#rename(random, userId);
    await delay(random.below(50));
  }

  async #register(random: Random): Promise<string> {
    const key = `register ${this.options.seed} ${uuidv4()}`;
    const who = { name: `User ${this.#users.length}`, email: `${uuidv4()}@example.com` };
    const { body } = await this.#client.insist(this.#http('users'), () => [201], 'POST', '/users', who, {
      'idempotency-key': key,
    });
    const { id } = body as { id: string };
    const mode = random.pick(MODES);
    if (mode !== 'approve') await this.sandbox.mode(id, mode, mode === 'late' ? random.below(2_500) : undefined);
    this.#users.push(id);
    return id;
  }

  /** @returns whether it was taken in */
  async #order(random: Random, userId: string): Promise<boolean> {
    const isWanted = ({ sku, currency }: (typeof PRODUCTS)[number]) =>
      currency === 'EUR' ? !SCARCE.includes(sku) || random.below(3) === 0 : random.below(10) === 0;
    const shelf = PRODUCTS.filter(isWanted);
    const skus = random.shuffle(shelf.map(({ sku }) => sku)).slice(0, 1 + random.below(3));
    const lines = skus.map((sku) => ({ sku, quantity: 1 + random.below(SCARCE.includes(sku) ? 2 : 20) }));
    const mixed = skus.includes('dollar') && skus.length > 1;
    // Others make the user leave while this client waits for its answer.
    const expected = () => (mixed ? [422] : this.#leaving.has(userId) ? [202, 409, 422] : [202, 409]);
    const headers = { 'idempotency-key': `order ${uuidv4()}` };
    const order = { userId, lines };
    const { status, body } = await this.#client.insist(
      this.#http('orders'),
      expected,
      'POST',
      '/orders',
      order,
      headers,
    );
    if (status !== 202) {
      this.#refused += 1;
      return false;
    }
    const { id } = body as { id: string };
    if (this.#orders.has(id)) this.#client.problems.push(`order ${id} is the answer to two requests`);
    this.#orders.set(id, userId);
    return true;
  }

  async #cancel(random: Random): Promise<void> {
    const ids = [...this.#orders.keys()];
    const id = ids.at(-1 - random.below(Math.min(30, ids.length)));
    if (id) await this.#client.insist(this.#http('orders'), () => [202, 409], 'POST', `/orders/${id}/cancel`);
  }

  async #leave(userId: string): Promise<void> {
    if (!this.#users.includes(userId)) return;
    this.#leaving.add(userId);
    await this.#client.insist(this.#http('users'), () => [200], 'POST', `/users/${userId}/deactivate`, {});
  }

  async #rename(random: Random, userId: string): Promise<void> {
    if (!this.#users.includes(userId)) return;
    const name = `Renamed ${random.below(1_000)}`;
    await this.#client.insist(this.#http('users'), () => [200, 409], 'PATCH', `/users/${userId}`, { name });
  }
}
