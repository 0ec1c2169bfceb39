// Reads what nearly every message holds – an event of a service of ours, as its relay writes it – without the schema:
// 0.7 µs instead of 6. Whatever looks different in any way is left to the schema, which says what is wrong with it.
import { parseEventType } from '@app/contracts';

const PLAIN = /^[\x20-\x7e]{1,200}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** One digit less than a number can hold exactly. */
const COUNT = /^[1-9]\d{0,14}$/;

/** The attributes of a logged event, as the schema would read them. */
export interface PlainEvent {
  specversion: '1.0';
  id: string;
  source: string;
  type: string;
  subject: string;
  sequence: number;
  epoch: string;
  page: number;
  position: number;
  time: string | undefined;
  correlationid: string | undefined;
  causationid: string | undefined;
  traceparent: string | undefined;
  data: unknown;
}

/** The event, or `undefined`: only the schema can tell. What this accepts, the schema accepts, with the same result. */
export function readPlainEvent(value: object): PlainEvent | undefined {
  const { specversion, id, source, type, subject, sequence, epoch, page, position, data } = value as PlainEvent;
  const { time, correlationid, causationid, traceparent } = value as PlainEvent;
  const isPlain =
    specversion === '1.0' &&
    isUuid(id) &&
    isUuid(epoch) &&
    isPlainText(type) &&
    isPlainText(source) &&
    source === `/${parseEventType(type)?.owner}` &&
    isPlainText(subject) &&
    isCount(sequence) &&
    isCount(page) &&
    isCount(position) &&
    (time === undefined || isPlainText(time)) &&
    (correlationid === undefined || isPlainText(correlationid)) &&
    (causationid === undefined || isPlainText(causationid)) &&
    (traceparent === undefined || isPlainText(traceparent));
  if (!isPlain) return undefined;
  return {
    specversion,
    id,
    source,
    type,
    subject,
    sequence: Number(sequence),
    epoch,
    page: Number(page),
    position: Number(position),
    time,
    correlationid,
    causationid,
    traceparent,
    data,
  };
}

/** What every reader takes for an attribute. */
export const isPlainText = (value: unknown): boolean => typeof value === 'string' && PLAIN.test(value);
const isUuid = (value: unknown): boolean => typeof value === 'string' && UUID.test(value);
const isCount = (value: unknown): boolean => typeof value === 'string' && COUNT.test(value);
