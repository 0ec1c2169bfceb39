// Decides what becomes of the events of a batch: plain code over the gate's rows.
import { Logger } from '@nestjs/common';
import type { Holds } from '../books/holds.js';
import type { Envelope, LoggedEvent } from '../cloud-event.js';
import type { Gate } from './gate.js';
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
  /** Whether replay is about to bring what lies before this event, so that it need not be parked. */
  isCatchingUp: (source: string, epoch: string, aggregate: string) => boolean;
}

type NotNow = Extract<Route, { kind: 'incompatible' | 'paused' }>;

const logger = new Logger('Inbox');

/**
 * @param fresh foreign events that were never seen before
 * @param failures events that are known to fail
 */
export function planBatch(
  items: readonly Item[],
  gate: Gate,
  fresh: ReadonlySet<Envelope>,
  failures: ReadonlyMap<Item, Failure>,
  planner: Planner,
): Plan {
  const plan: Plan = { react: [], park: [], done: [], duplicates: [], advanced: [], dropped: [] };
  for (const item of items) {
    const event = gated(item);
    if (event && planner.holds.isClosed(event.source, event.epoch)) {
      plan.dropped.push(item);
      continue;
    }
    if (event ? !passes(plan, item, event, gate, planner) : !isNew(plan, item, fresh)) continue;
    const fate = failures.get(item) ?? fateOf(item, planner.router);
    if ('state' in fate) {
      if (event) gate.hold(event);
      plan.park.push({ item, failure: fate });
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

/** Whether the gate lets it through now; if not, what becomes of it is in the plan. */
function passes(plan: Plan, item: Item, event: LoggedEvent, gate: Gate, planner: Planner): boolean {
  const { holds } = planner;
  const held = holds.reasonFor(event.source, event.epoch);
  const verdict = held ? gate.look(event) : gate.judge(event);
  if (verdict === 'duplicate') plan.duplicates.push(item);
  else if (held || (verdict === 'ahead' && !willComeAgain(item, event, planner))) {
    plan.park.push({ item, failure: { state: 'waiting', error: held ?? '', counts: false } });
  } else return verdict === 'next';
  return false;
}

/**
 * Whether it may be dropped because replay brings it, now or once its page is compared. Not if replay has just brought it: it is
 * ahead of one that is parked here, and would be missing for as long as that one is.
 */
function willComeAgain({ parked, replayed }: Item, event: LoggedEvent, { isCatchingUp }: Planner): boolean {
  return !parked && !replayed && isCatchingUp(event.source, event.epoch, event.aggregate);
}

function isNew(plan: Plan, item: Item, fresh: ReadonlySet<Envelope>): boolean {
  if (item.parked || fresh.has(item.envelope)) return true;
  plan.duplicates.push(item);
  return false;
}

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
