// What operators have to know of the order process: whether something is stuck. Asked for when Prometheus scrapes; what cannot
// be had from the database is left out of the answer, which is what an alert on absence needs.
import { Database } from '@app/database';
import { metricsRegistry } from '@app/service';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { sql } from 'kysely';
import { Gauge } from 'prom-client';
import type { OrdersTables } from './tables.js';

const GAUGES = {
  orders_overdue: {
    help: 'Orders that are still open a minute after their deadline.',
    query: sql`select count(*) as value from orders where due_at < now() - interval '1 minute'`,
  },
  payments_held: {
    help: 'Payments of which the provider reports what contradicts us; somebody must look.',
    query: sql`select count(*) as value from payments where held is not null`,
  },
  payments_refunding_oldest_age_seconds: {
    help: 'Since when a refund is under way that the provider has not reported; 0 if none is.',
    query: sql`select coalesce(extract(epoch from now() - min(refunding_since)), 0) as value from payments
      where status = 'refunding'`,
  },
  payment_requests_oldest_age_seconds: {
    help: 'Since when the payment provider could not be asked for a payment or a refund; 0 if it could.',
    query: sql`select coalesce(extract(epoch from now() - min(requested_at)), 0) as value from payment_requests`,
  },
};

@Injectable()
export class OrderMetrics implements OnModuleInit, OnModuleDestroy {
  readonly #gauges: Gauge[] = [];

  constructor(private readonly database: Database<OrdersTables>) {}

  onModuleInit(): void {
    for (const [name, { help, query }] of Object.entries(GAUGES)) {
      const measure = async () => {
        const { rows } = await sql<{ value: string }>`${query}`.execute(this.database.read);
        return Number(rows[0]!.value);
      };
      metricsRegistry.removeSingleMetric(name); // of another app in this process, as in tests
      this.#gauges.push(new Gauge({ name, help, collect: collectorOf(measure) }));
    }
  }

  onModuleDestroy(): void {
    for (const name of Object.keys(GAUGES)) {
      const gauge = metricsRegistry.getSingleMetric(name);
      if (this.#gauges.includes(gauge as Gauge)) metricsRegistry.removeSingleMetric(name);
    }
  }
}

const collectorOf = (measure: () => Promise<number>) =>
  async function (this: Gauge): Promise<void> {
    this.remove();
    await measure().then(
      (value) => this.set(value),
      () => {},
    );
  };
