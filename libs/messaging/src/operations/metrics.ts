// What the backbone counts while it works, in prom-client's default register. Counted per batch or message, not per event,
// wherever the code allows: an increment costs about a microsecond.
import { Counter, Gauge, Histogram, register } from 'prom-client';

/** Modules may be loaded twice in tests; a metric exists once. */
export function once<Metric>(name: string, make: () => Metric): Metric {
  return (register.getSingleMetric(name) as Metric | undefined) ?? make();
}

const counter = (name: string, help: string, labelNames: string[] = []) =>
  once(name, () => new Counter({ name, help, labelNames }));

export const published = counter('outbox_published_total', 'Events confirmed by the broker.', ['event']);
export const unroutable = counter('outbox_unroutable_total', 'Of the published: events nobody listens to (yet).', [
  'event',
]);
export const applied = counter('inbox_applied_total', 'Events let through the gate, with or without a reaction.', [
  'event',
]);
export const duplicates = counter('inbox_duplicates_total', 'Deliveries of events that were applied before; dropped.');
const closedDropped = counter('inbox_closed_dropped_total', 'Events of logs that an operator has closed; dropped.');
export const ignored = counter('inbox_ignored_total', 'Of the applied: events without a reaction.');
export const replayed = counter('inbox_replayed_total', 'Positions of the log pulled because pages did not balance.', [
  'source',
]);

export const reactionDuration = once(
  'reaction_duration_seconds',
  () =>
    new Histogram({
      name: 'reaction_duration_seconds',
      help: 'Time a call of a reaction took, for one event or for many at once, whether it succeeded or not.',
      labelNames: ['reaction'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    }),
);
export const reactionFailures = counter('reaction_failures_total', 'Runs of a reaction that failed.', ['reaction']);

const STATES = { stopped: 0, connecting: 0, connected: 1, blocked: 2 };
const connectionState = once(
  'broker_connection_state',
  () =>
    new Gauge({
      name: 'broker_connection_state',
      help: 'Connections to RabbitMQ: 0 down, or its user waits (see /health/ready), 1 at work, 2 blocked by an alarm of the broker.',
      labelNames: ['purpose'],
    }),
);

/** A connection to the broker has changed. */
export const connectionIs = (purpose: string, state: keyof typeof STATES): void =>
  connectionState.labels(purpose).set(STATES[state]);

/** A batch of the inbox is committed. */
export function countBatch(plan: {
  done: readonly Counted[];
  react: readonly unknown[];
  duplicates: readonly unknown[];
  dropped: readonly unknown[];
}): void {
  const { done, react, dropped } = plan;
  countByType(
    applied,
    done.map(({ envelope }) => envelope.type),
  );
  if (done.length > react.length) ignored.inc(done.length - react.length);
  if (plan.duplicates.length > 0) duplicates.inc(plan.duplicates.length);
  if (dropped.length > 0) closedDropped.inc(dropped.length);
}

interface Counted {
  envelope: { type: string };
}

/** Adds one for each of `types`, with one increment per distinct type. */
export function countByType(metric: Counter, types: Iterable<string>): void {
  const counts = new Map<string, number>();
  for (const type of types) counts.set(type, (counts.get(type) ?? 0) + 1);
  for (const [type, count] of counts) metric.labels(type).inc(count);
}
