// Decides what becomes of the events of a batch: plain code over the gate's rows.
import { Logger } from '@nestjs/common';
import type { Holds } from '../books/holds.js';
import type { Envelope, LoggedEvent } from '../cloud-event.js';
import type { Gate, Verdict } from './gate.js';
import type { Failure, Item } from './item.js';
import type { Parking } from './parked-events.js';
import type { Planned } from './reaction-runner.js';
import type { Route, Router } from './router.js';

export interface Plan {
  react: Planned[];
  park: Parking[];
  /** Went through, with or without a reaction. */
  done: Item[];
  duplicates: Item[];
  advanced: LoggedEvent[];
  /** Of logs that an operator has closed. */
  dropped: Item[];
}

export interface Planner {
  router: Router;
  holds: Holds;
}

type NotNow = Extract<Route, { kind: 'incompatible' | 'paused' }>;

const logger = new Logger('Inbox');

/**
 * @param fresh foreign events that have had no effect
 * @param coming streams of which replay brings what is dropped now; those of which something is parked are taken out
 * @param failures events that are known to fail
 * @throws UnverifiedGuessError if an event would be parked that may have been applied
 */
export function planBatch(
  items: readonly Item[],
  gate: Gate,
  fresh: ReadonlySet<Envelope>,
  coming: Set<string>,
  failures: ReadonlyMap<Item, Failure>,
  planner: Planner,
): Plan {
  const park = (item: Item, failure: Failure) => {
    const event = gated(item);
    if (event) gate.park(event);
    coming.delete(event?.stream ?? '');
    plan.park.push({ item, failure });
  };
  const plan: Plan = { react: [], park: [], done: [], duplicates: [], advanced: [], dropped: [] };
  for (const item of items) {
    const event = gated(item);
    if (event && planner.holds.isClosed(event.source, event.epoch)) {
      plan.dropped.push(item);
      continue;
    }
    const held = event && planner.holds.reasonFor(event.source, event.epoch);
    const verdict = event ? (held ? gate.look(event) : gate.judge(event)) : verdictOn(item, fresh);
    if (verdict === 'duplicate') {
      plan.duplicates.push(item);
      continue;
    }
    if (held || verdict === 'ahead') {
      if (held || !isComing(item, coming)) park(item, { state: 'waiting', error: held ?? '', counts: false });
      continue;
    }
    const fate = failures.get(item) ?? fateOf(item, planner.router);
    if ('state' in fate) {
      if (event) gate.hold(event);
      park(item, fate);
      continue;
    }
    if (event) {
      gate.advance(event);
      plan.advanced.push(event);
    }
    plan.done.push(item);
    if (fate.kind === 'react') plan.react.push({ item, route: fate });
  }
  return plan;
}

/**
 * Whether it may be dropped although it is ahead, because replay brings it, now or once its page is compared. Not if replay has
 * just brought it: it is ahead of one that is parked here, and would be missing for as long as that one is.
 */
function isComing(item: Item, coming: ReadonlySet<string>): boolean {
  return isLive(item) && coming.has(gated(item)!.stream);
}

/** Neither parked before, nor brought by replay. */
export const isLive = ({ parked, replayed }: Item): boolean => !parked && !replayed;

const verdictOn = ({ envelope }: Item, fresh: ReadonlySet<Envelope>): Verdict =>
  fresh.has(envelope) ? 'next' : 'duplicate';

/** Where it goes, or why it cannot go there now. */
function fateOf({ envelope }: Item, router: Router): Failure | Exclude<Route, NotNow> {
  const route = router.route(envelope);
  if (route.kind === 'paused') {
    return { state: envelope.kind === 'logged' ? 'waiting' : 'retry', error: route.error, counts: false };
  }
  if (route.kind !== 'incompatible') return route;
  logger.error(`${envelope.type} ${envelope.id} is parked until this service is updated: ${route.error}`);
  return { state: 'incompatible', error: route.error, counts: false };
}

/** The event, if it is one that passes the gate. */
export const gated = ({ envelope }: Item): LoggedEvent | undefined =>
  envelope.kind === 'logged' ? envelope : undefined;
