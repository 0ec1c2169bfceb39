// Gauges that need the database: asked for when Prometheus scrapes, bounded in time and in rows. What cannot be had in time is
// left out of the answer, which is what an alert on absence needs.
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { InboxServer } from '../inbox/inbox-server.js';
import { once } from './metrics.js';
import { COUNTED, outboxSize } from './outbox-status.js';
import { countUnpublishable, parkedByState } from './overview.js';
import { OperationsDatabase, Pauses } from './pauses.js';
import { timersStatus } from './timers-status.js';

const TIMEOUT_MS = 1_500;
/** Several gauges of one scrape share one look. */
const FRESH_MS = 500;
interface Look {
  outbox: { pending: number; age: number };
  unpublishable: number;
  timers: { overdue: number; failed: number };
  parked: { state: string; events: number; oldest: Date | null }[];
}

type Sample = [labels: Record<string, string>, value: number];

/** The services of this process: one, but for tests. */
const collectors = new Set<MetricsCollector>();

function gauge(
  name: string,
  help: string,
  labelNames: string[],
  samples: (collector: MetricsCollector) => Promise<Sample[]>,
) {
  once(name, () => {
    const metric: Gauge = new Gauge({
      name,
      help,
      labelNames,
      async collect() {
        const found = await Promise.all([...collectors].map((collector) => samples(collector).catch(() => [])));
        metric.reset();
        if (labelNames.length === 0) metric.remove(); // absent, not 0
        for (const [labels, value] of found.flat()) metric.set(labels, value);
      },
    });
    return metric;
  });
}

gauge(
  'outbox_pending_events',
  `Events that the broker has not confirmed; exact up to ${COUNTED}, an upper bound beyond.`,
  [],
  async (it) => [[{}, (await it.look()).outbox.pending]],
);
gauge(
  'outbox_oldest_pending_age_seconds',
  'Age of the oldest event in the outbox; 0 if it is empty.',
  [],
  async (it) => [[{}, (await it.look()).outbox.age]],
);
gauge('timers_overdue', `Timers that should have fired ten seconds ago; counted up to ${COUNTED}.`, [], async (it) => [
  [{}, (await it.look()).timers.overdue],
]);
gauge('timers_failed', 'Timers whose event cannot be recorded.', [], async (it) => [
  [{}, (await it.look()).timers.failed],
]);
gauge('outbox_unpublishable_events', 'Events that the broker refuses; each holds its stream.', [], async (it) => [
  [{}, (await it.look()).unpublishable],
]);
gauge(
  'parked_events',
  `Events that cannot be applied now, by state; counted up to ${COUNTED}.`,
  ['state'],
  async (it) => (await it.look()).parked.map(({ state, events }) => [{ state }, events]),
);
gauge('parked_oldest_age_seconds', 'Age of the oldest parked event; 0 if there is none.', [], async (it) => [
  [{}, Math.max(0, ...(await it.look()).parked.map(({ oldest }) => secondsSince(oldest)))],
]);
gauge('inbox_pages_unbalanced', 'Pages of a log that did not balance at the last look.', ['inbox', 'source'], (it) =>
  Promise.resolve(it.unbalanced),
);
gauge('inbox_held', 'Logs that contradict what was applied; their events are parked.', ['inbox'], (it) =>
  Promise.resolve(it.held),
);
gauge('paused', '1 for everything that is paused.', ['scope'], (it) => Promise.resolve(it.paused));

@Injectable()
export class MetricsCollector implements OnModuleDestroy {
  #look: { at: number; result: Promise<Look> } | undefined;

  constructor(
    private readonly database: OperationsDatabase,
    private readonly pauses: Pauses,
    private readonly inboxes: InboxServer,
  ) {
    collectors.add(this);
  }

  onModuleDestroy(): void {
    collectors.delete(this);
  }

  get paused(): Sample[] {
    return this.pauses.all.map(({ scope }) => [{ scope }, 1]);
  }

  get unbalanced(): Sample[] {
    return this.inboxes.health.flatMap(({ inbox, books }) =>
      [...books.unbalanced].map(([source, pages]): Sample => [{ inbox, source }, pages]),
    );
  }

  get held(): Sample[] {
    return this.inboxes.health.map(({ inbox, held }) => [{ inbox }, held.length]);
  }

  /** @throws Error if the database does not answer in time */
  look(): Promise<Look> {
    if (!this.#look || performance.now() - this.#look.at > FRESH_MS) {
      this.#look = { at: performance.now(), result: withinTime(this.#read()) };
    }
    return this.#look.result;
  }

  async #read(): Promise<Look> {
    const [outbox, unpublishable, timers, parked] = await Promise.all([
      outboxSize(this.database),
      countUnpublishable(this.database),
      timersStatus(this.database),
      parkedByState(this.database),
    ]);
    const age = secondsSince(outbox.oldestAt);
    return { outbox: { pending: outbox.pending, age }, unpublishable, timers, parked };
  }
}

const secondsSince = (date: Date | null) => (date ? Math.max(0, (Date.now() - date.getTime()) / 1000) : 0);

async function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
