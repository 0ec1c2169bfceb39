import { currentContext, runInContext } from '@app/context';
import type { Envelope } from '../cloud-event.js';
import type { InboxName } from './awaited-event-bus.js';

/** What is being applied, in the context of the code that reacts to it. */
export interface Applying {
  inbox: InboxName;
  /** One event; absent while a reaction handles many. */
  envelope?: Envelope;
  /** Many events, each with what is known of it. */
  envelopes?: ReadonlyMap<object, Envelope>;
}

/** What ties the effects of an event to it: its correlation, itself as the cause, its trace. */
export const causeOf = ({ id, correlationid = id, traceparent }: Envelope) => ({
  correlationId: correlationid,
  causationId: id,
  traceparent,
});

/**
 * For `handleMany`: what is recorded in `work` is caused by `event`, one of those that are being handled, and carries its
 * correlation id. Outside of it, it is nobody's consequence. Does nothing for an event that is handled alone.
 */
export function becauseOf<Result>(event: object, work: () => Promise<Result>): Promise<Result> {
  const context = currentContext();
  const envelope = (context?.event as Applying | undefined)?.envelopes?.get(event);
  return context && envelope ? runInContext({ ...context, ...causeOf(envelope) }, work) : work();
}
