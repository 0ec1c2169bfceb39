import type { ConsumeMessage } from 'amqplib';
import { BOOKS_ANSWER, booksAnswer, CHUNK_END, chunkEnd, type BooksAnswer, type ChunkEnd } from '../books/protocol.js';
import { decode, UnreadableMessageError, type UnreadableEvent } from '../cloud-event.js';
import type { Item } from './item.js';

/** A message of the queue and what is in it. */
export interface Delivery {
  message: ConsumeMessage;
  items: Item[];
  /** What of it cannot be read, and why. */
  unreadable: UnreadableEvent[];
  /** An owner's answer about the books. */
  answer?: BooksAnswer;
  chunkEnd?: ChunkEnd;
  /** It came through the dead-letter queue: the broker stopped trying. */
  givenUp: boolean;
  /** It was delivered so often that it may be what kills the process. */
  suspect: boolean;
}

/** Deliveries before that one returned without an acknowledgement. One happens at every restart; more is suspicious. */
const SUSPECT_DELIVERIES = 2;

/**
 * Takes messages from the front of `buffer` until they hold about `events` events; at least one message, because it is
 * acknowledged as a whole. Suspects come among themselves, an answer comes last: it speaks of what came before it.
 */
export function takeDeliveries(
  buffer: ConsumeMessage[],
  events: number,
  isLogged: (source: string) => boolean,
  dead: string,
): Delivery[] {
  const deliveries: Delivery[] = [];
  for (let taken = 0; taken < events && buffer.length > 0;) {
    const [first] = deliveries;
    if (first && isSuspect(buffer[0]!, dead) !== first.suspect) break;
    const delivery = read(buffer.shift()!, isLogged, dead);
    deliveries.push(delivery);
    taken += delivery.items.length;
    if (delivery.answer || delivery.chunkEnd) break;
  }
  return deliveries;
}

function read(message: ConsumeMessage, isLogged: (source: string) => boolean, dead: string): Delivery {
  const givenUp = message.fields.exchange === dead;
  const delivery: Delivery = { message, items: [], unreadable: [], givenUp, suspect: isSuspect(message, dead) };
  const replayed = isReplay(message);
  const { redelivered } = message.fields;
  if (givenUp && controls.has(String(message.properties.type))) return delivery; // it is asked for again
  try {
    const control = replayed && readControl(message);
    if (control) return { ...delivery, ...control };
    for (const event of decode(message, isLogged)) {
      if ('reason' in event) delivery.unreadable.push(event);
      else delivery.items.push({ envelope: event, replayed, redelivered });
    }
    return delivery;
  } catch (error) {
    // Whatever it is: the message must not stop those behind it.
    return { ...delivery, unreadable: [{ reason: (error as Error).message, content: message.content }] };
  }
}

const controls = new Map<string, typeof booksAnswer | typeof chunkEnd>([
  [BOOKS_ANSWER, booksAnswer],
  [CHUNK_END, chunkEnd],
]);

/** Answers, and events of an owner's log, come through its replay exchange, and from nowhere else. */
const isReplay = ({ fields }: ConsumeMessage): boolean => fields.exchange.endsWith('.replay');

function readControl({ properties, content }: ConsumeMessage): Pick<Delivery, 'answer' | 'chunkEnd'> | undefined {
  const schema = controls.get(String(properties.type));
  if (!schema) return undefined;
  try {
    const body = schema.parse(JSON.parse(content.toString()));
    return properties.type === BOOKS_ANSWER ? { answer: body as BooksAnswer } : { chunkEnd: body as ChunkEnd };
  } catch (error) {
    throw new UnreadableMessageError(`not an answer about the books: ${(error as Error).message}`);
  }
}

const isSuspect = ({ fields, properties }: ConsumeMessage, dead: string): boolean =>
  fields.exchange !== dead &&
  fields.redelivered &&
  Number((properties.headers ?? {})['x-delivery-count'] ?? 0) >= SUSPECT_DELIVERIES;
