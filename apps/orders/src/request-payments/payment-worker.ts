// Calls the payment provider for every payment request. Any number of processes may do this at once; none holds a transaction
// while it waits for the network. A crash makes a call again, with the same Idempotency-Key.
import { storable } from '@app/messaging';
import { Injectable, Logger, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { OrdersConfig } from '../config.js';
import { PaymentRequests, type PaymentRequest } from '../payment-requests.js';
import { callProvider } from './payment-provider.js';

/** Calls at the same time. */
const CONCURRENCY = 10;
/** Requests that other processes have written are found within this time. */
const POLL_MS = 1_000;
/** Longer than a call can take. */
const LEASE_MS = 15_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;

@Injectable()
export class PaymentWorker implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #logger = new Logger('Payments');
  readonly #calls = new Set<Promise<void>>();
  #stopping = false;
  #woken = false;
  #resting = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    private readonly requests: PaymentRequests,
    private readonly config: OrdersConfig,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.config.roles.has('workers')) return;
    this.requests.wake = () => this.#wake();
    this.#running = this.#run();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#running;
  }

  #wake(): void {
    this.#woken = true;
    this.#resting.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#woken = false;
      const free = CONCURRENCY - this.#calls.size;
      const claimed = await this.#claim(free);
      for (const request of claimed) this.#start(request);
      if (claimed.length < free || free === 0) await this.#rest();
    }
    await Promise.all(this.#calls);
  }

  async #claim(limit: number): Promise<PaymentRequest[]> {
    try {
      return limit > 0 ? await this.requests.claim(limit, LEASE_MS) : [];
    } catch (error) {
      this.#logger.warn(`no payments are asked for at the moment: ${messageOf(error)}`);
      return [];
    }
  }

  #start(request: PaymentRequest): void {
    const call = this.#call(request)
      .catch((error: unknown) => this.#logger.warn(`${request.kind} ${request.id}: ${messageOf(error)}`))
      .finally(() => {
        this.#calls.delete(call);
        this.#wake();
      });
    this.#calls.add(call);
  }

  async #call(request: PaymentRequest): Promise<void> {
    let reference: string;
    try {
      reference = await callProvider(this.config.paymentProviderUrl, request);
    } catch (error) {
      const [why, afterMs] = [messageOf(error), pauseAfter(request.attempts)];
      this.#logger.warn(`${request.kind} ${request.id}: ${why}; again in ${Math.round(afterMs)} ms`);
      return this.requests.failed(request, why, afterMs);
    }
    await this.requests.accepted(request, reference);
  }

  async #rest(): Promise<void> {
    this.#resting = new AbortController();
    if (this.#woken || this.#stopping) return;
    await delay(POLL_MS, undefined, { signal: this.#resting.signal }).catch(() => {});
  }
}

/** Grows twofold, with full jitter, so that many requests do not come back in step. */
export function pauseAfter(attempts: number): number {
  const bound = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempts - 1, 10));
  return bound / 10 + Math.random() * bound * 0.9;
}

/** `fetch` says "fetch failed" and hides the reason in the cause. */
function messageOf(error: unknown): string {
  const { message, cause } = error as Error;
  return storable(cause instanceof Error && cause.message ? `${message}: ${cause.message}` : message);
}
