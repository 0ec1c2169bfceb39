// What may be recorded, and what is written down of it.
import { currentContext } from '@app/context';
import { contractOf } from '@app/contracts';
import { isAttribute, MAX_EVENT_BYTES, unfitness } from '../cloud-event.js';

/** The envelope around `data` on the wire, generously. */
export const ENVELOPE_BYTES = 2048;

/** The event cannot be recorded; nothing of its transaction is kept unless the caller catches it. */
export class EventRefusedError extends Error {
  override readonly name: string = 'EventRefusedError';
}

/** The event is larger than 256 KiB. Over HTTP it is answered with 413: what was sent led to it. */
export class EventTooLargeError extends EventRefusedError {
  override readonly name = 'EventTooLargeError';
  readonly statusCode = 413;
}

/** An event as it is written into the log, or set aside for later. */
export interface Recordable {
  type: string;
  aggregate: string;
  subject: string;
  /** JSON text. */
  data: string;
  /** On the wire, at most. */
  bytes: number;
}

/**
 * Checks that `service` may record `event`.
 *
 * @throws {@link EventRefusedError} if it belongs to another service, has no subject, is larger than 256 KiB, nested too
 *   deep or has keys such as `__proto__`
 */
export function recordable(service: string, event: object): Recordable {
  const { type, owner, aggregate, subject: subjectField } = contractOf(event);
  if (owner !== service) {
    throw new EventRefusedError(`${type} belongs to "${owner}"; "${service}" may not publish it`);
  }
  const subject = (event as Record<string, unknown>)[subjectField];
  if (typeof subject !== 'string' || subject.length === 0 || subject.length > 200) {
    throw new EventRefusedError(`${type}: "${subjectField}" must be a text of 1–200 characters, it names the stream`);
  }
  const problem = unfitness(event);
  if (problem) throw new EventRefusedError(`${type}: ${problem}; no subscriber would take it`);
  const data = JSON.stringify(event);
  const bytes = Buffer.byteLength(data) + ENVELOPE_BYTES;
  if (bytes > MAX_EVENT_BYTES) {
    throw new EventTooLargeError(
      `${type} has ${bytes} bytes, more than ${MAX_EVENT_BYTES}: put the bulk elsewhere and refer to it`,
    );
  }
  return { type, aggregate, subject, data, bytes };
}

/** Where the event comes from: what is set in motion by one request carries one correlation id. Left out if no subscriber would take it. */
export function originOf(id: string) {
  const { correlationId, causationId, traceparent } = currentContext() ?? {};
  return {
    correlationId: (correlationId && readable(correlationId)) || id,
    causationId: readable(causationId),
    traceparent: readable(traceparent),
  };
}

const readable = (attribute: string | undefined): string | null =>
  attribute !== undefined && isAttribute(attribute) ? attribute : null;
