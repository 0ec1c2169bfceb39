// The envelope on the wire: CloudEvents 1.0, structured JSON, one event or a batch.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
import { isUtf8 } from 'node:buffer';
import { sabotaged } from '@app/context';
import { parseEventType } from '@app/contracts';
import { z } from 'zod';
import { isPlainText, readPlainEvent } from './plain-event.js';

export const EVENT_CONTENT_TYPE = 'application/cloudevents+json';
export const BATCH_CONTENT_TYPE = 'application/cloudevents-batch+json';

/** The largest event that may be recorded, envelope included, in bytes. */
export const MAX_EVENT_BYTES = 256 * 1024;
/** The largest message that is parsed at all, in bytes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** No honest payload nests deeper. */
const MAX_DEPTH = 32;

const count = z
  .union([z.int().min(1), z.string().regex(/^[1-9]\d{0,15}$/)])
  .transform(Number)
  .pipe(z.int().min(1));

const uuid = z.uuid().transform((text) => text.toLowerCase());

// Postgres stores neither NUL nor half of a surrogate pair: an attribute with one could be neither applied nor parked.
const unstorable = /\0|\p{Surrogate}/gu;
const attribute = z
  .string()
  .max(200)
  .refine((value) => value.search(unstorable) < 0, { error: 'holds a character that cannot be stored' });

/** Whether subscribers take an event with such an attribute. */
export const isAttribute = (value: string): boolean => isPlainText(value) || attribute.safeParse(value).success;

/** `message` as Postgres can store it. */
export const storable = (message: string): string => message.replaceAll(unstorable, '\ufffd');

const shared = {
  specversion: z.literal('1.0'),
  id: attribute.min(1),
  source: attribute.min(1),
  type: attribute.min(1),
  time: attribute.optional(),
  correlationid: attribute.optional(),
  causationid: attribute.optional(),
  traceparent: attribute.optional().catch(undefined), // it is for watching: no reason to refuse what it comes with
  data: z.unknown().optional(),
};

/** An event of a service whose log we know: it has a place in its stream and in the books. */
const loggedEvent = z
  .object({
    ...shared,
    id: uuid,
    subject: attribute.min(1),
    sequence: count,
    epoch: uuid,
    page: count,
    position: count,
  })
  .refine(({ type, source }) => source === `/${parseEventType(type)?.owner}`, {
    path: ['type'],
    error: 'must be <owner>.<aggregate>.<fact>.v<n>, and the owner the source',
  });
const foreignEvent = z.object({ ...shared, subject: attribute.optional() });

export type LoggedAttributes = z.output<typeof loggedEvent>;
export type LoggedEvent = LoggedAttributes & {
  kind: 'logged';
  /** That its type names. */
  aggregate: string;
  /** One string per stream. */
  stream: string;
};
export type ForeignEvent = z.output<typeof foreignEvent> & { kind: 'foreign' };
export type Envelope = LoggedEvent | ForeignEvent;

let lastGroup = { source: '', epoch: '', aggregate: '', text: '' };

/**
 * All of a stream's name but its subject. The events of a batch nearly always share it, as one text: an inbox remembers thousands of
 * streams, and with a text of its own for each of them that was a third of what survived in it.
 */
function groupOf(source: string, epoch: string, aggregate: string): string {
  if (lastGroup.aggregate !== aggregate || lastGroup.source !== source || lastGroup.epoch !== epoch)
    lastGroup = { source, epoch, aggregate, text: `${source} ${epoch} ${aggregate} ` };
  return lastGroup.text;
}

/** With what is asked for again and again on the way through the inbox. */
export function asLogged(attributes: LoggedAttributes): LoggedEvent {
  const { source, epoch, type, subject } = attributes;
  const aggregate = sabotaged('gate-key-without-aggregate') ? 'any' : (parseEventType(type)?.aggregate ?? type);
  const stream = groupOf(source, epoch, aggregate) + subject;
  return Object.assign(attributes, { kind: 'logged' as const, aggregate, stream });
}

/** As text: the driver would make a date of it, and we a text again. */
export const LOG_TIME = `to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as time`;
/** The columns of a {@link LogRow} in `messaging.events`. */
export const LOG_ROW = `
  position, id, type, epoch, subject, sequence, page, ${LOG_TIME},
  correlation_id, causation_id, traceparent, data::text as data`;

/** An event as it lies in the log. */
export interface LogRow {
  position: string;
  id: string;
  type: string;
  epoch: string;
  subject: string;
  sequence: string;
  page: string;
  /** When it was recorded, as it goes over the wire. */
  time: string;
  correlation_id: string;
  causation_id: string | null;
  traceparent: string | null;
  /** JSON text, passed on as it was written. */
  data: string;
}

/**
 * The event as JSON text. `data` is spliced in unparsed: the relay never looks at payloads. By a template, which is faster than an
 * object that is made to be written once; what Postgres guarantees to be a number, a uuid or a time needs no quoting.
 */
export function encode(row: LogRow, source: string): string {
  const { id, epoch, sequence, page, position, time, causation_id: cause, traceparent: trace } = row;
  return (
    `{"specversion":"1.0","id":"${id}","source":${quoted(source)},"type":${quoted(row.type)},` +
    `"subject":${quoted(row.subject)},"sequence":"${sequence}","epoch":"${epoch}","page":"${page}","position":"${position}",` +
    `"time":"${time}","datacontenttype":"application/json","correlationid":${quoted(row.correlation_id)},` +
    `${cause === null ? '' : `"causationid":${quoted(cause)},`}${trace === null ? '' : `"traceparent":${quoted(trace)},`}` +
    `"data":${row.data}}`
  );
}

const quoted = (text: string): string => JSON.stringify(text);

/** Why a message cannot be read. It is set aside with its raw bytes. */
export class UnreadableMessageError extends Error {
  override readonly name = 'UnreadableMessageError';
  constructor(reason: string) {
    super(storable(reason)); // it may quote the message
  }
}

interface RawMessage {
  content: Buffer;
  properties: { contentType?: unknown; contentEncoding?: unknown; headers?: Record<string, unknown> };
}

/** An element of a batch that cannot be read; its neighbours can. */
export interface UnreadableEvent {
  reason: string;
  content: Buffer;
}

/**
 * The events in a message: structured (one or a batch) or binary mode.
 *
 * @param isLogged whether a source keeps a log, so that its events must carry sequence, epoch, page and position
 * @throws {@link UnreadableMessageError} that says what is wrong, if nothing of it can be read
 */
export function decode(message: RawMessage, isLogged: (source: string) => boolean): (Envelope | UnreadableEvent)[] {
  const { content, properties } = message;
  if (content.length > MAX_MESSAGE_BYTES) {
    throw new UnreadableMessageError(`${content.length} bytes are more than the ${MAX_MESSAGE_BYTES} allowed`);
  }
  if (typeof properties.contentEncoding === 'string' && !/^(utf-?8|identity)?$/i.test(properties.contentEncoding)) {
    throw new UnreadableMessageError(
      `content encoding "${properties.contentEncoding}" is not supported; send plain JSON`,
    );
  }
  const attributes = binaryAttributes(properties.headers);
  const { body, isOdd } = parse(content);
  if (attributes || !Array.isArray(body)) {
    return [readEvent(attributes ? { ...attributes, data: body } : body, isLogged, isOdd)];
  }
  if (body.length === 0) throw new UnreadableMessageError('the batch is empty');
  let texts: string[] | undefined;
  return body.map((item, index) => {
    try {
      return readEvent(item, isLogged, isOdd);
    } catch (error) {
      if (!(error instanceof UnreadableMessageError)) throw error;
      texts ??= elementsOf(content.toString('utf8'));
      return { reason: error.message, content: Buffer.from(texts[index]!) };
    }
  });
}

/** The elements of a JSON array as they were written: parsed and written again, a large number would be another one. */
function elementsOf(text: string): string[] {
  const elements: string[] = [];
  let depth = 0;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]+|\\.)*"|[[\]{},]/g)) {
    if ('[{'.includes(token)) depth++;
    if (depth === 1 && '[,]'.includes(token)) {
      if (token !== '[') elements.push(text.slice(start, index).trim());
      start = index + 1;
    }
    if (']}'.includes(token)) depth--;
  }
  return elements;
}

/** The kind of a message is told by its body, not by its content type: people who type one by hand forget it. */
function readEvent(value: unknown, isLogged: (source: string) => boolean, isOdd: boolean): Envelope {
  const source = typeof value === 'object' && value !== null && 'source' in value ? value.source : undefined;
  const logged = typeof source === 'string' && isLogged(source);
  const plain = logged && !isOdd ? readPlainEvent(value as object) : undefined;
  if (plain) return asLogged(plain);
  const result = logged ? loggedEvent.safeParse(value) : foreignEvent.safeParse(value);
  if (!result.success) {
    const problems = result.error.issues.map(({ path, message }) => `${path.join('.') || '(body)'}: ${message}`);
    throw new UnreadableMessageError(`not a CloudEvent: ${problems.join('; ')}`);
  }
  const problem = isOdd && unfitness(value);
  if (problem) throw new UnreadableMessageError(problem);
  return logged ? asLogged(result.data as LoggedAttributes) : { ...result.data, kind: 'foreign' };
}

/** @returns `isOdd`: a cheap look at the text says that its keys have to be looked at one by one */
function parse(content: Buffer): { body: unknown; isOdd: boolean } {
  if (!isUtf8(content)) throw new UnreadableMessageError('not valid UTF-8');
  const text = content.toString('utf8');
  const body = parseJson(text);
  // Of the whole message: a value that is nested too deep cannot even be written again.
  if (isDeeper(body, MAX_DEPTH)) throw new UnreadableMessageError(`nested deeper than ${MAX_DEPTH} levels`);
  return { body, isOdd: /__proto__|constructor|\\u/.test(text) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UnreadableMessageError(`not valid JSON: ${(error as Error).message}`);
  }
}

/** Whether arrays and objects nest more than so many levels. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  for (const key in value) {
    const child = (value as Record<string, unknown>)[key];
    if (typeof child === 'object' && isDeeper(child, levels - 1)) return true;
  }
  return false;
}

/** Why a payload is not handed on, if so: nested too deep, or a key that could change an object's prototype. */
export function unfitness(value: unknown, depth = 1): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth > MAX_DEPTH - 2) return `nested deeper than ${MAX_DEPTH} levels`;
  for (const [key, child] of Object.entries(value)) {
    if (key === '__proto__' || (key === 'constructor' && typeof child === 'object')) {
      return `the key "${key}" is not allowed`;
    }
    const problem = unfitness(child, depth + 1);
    if (problem) return problem;
  }
  return undefined;
}

/** CloudEvents' binary mode: attributes in headers `cloudEvents_id` or `cloudEvents:id`, the body is `data`. */
function binaryAttributes(headers: Record<string, unknown> = {}): Record<string, unknown> | undefined {
  const entries = Object.entries(headers).flatMap(([key, value]) => {
    const name = /^cloudEvents[_:](.+)$/.exec(key)?.[1];
    return name ? [[name, value] as const] : [];
  });
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
