import type { ConsumeMessage } from 'amqplib';
import { decode, UnreadableMessageError } from '../cloud-event.js';
import type { Item } from './item.js';

/** A message of the queue and the events in it. */
export interface Delivery {
  message: ConsumeMessage;
  items: Item[];
  /** Why it cannot be read, if so. */
  unreadable?: string;
}

/**
 * Takes messages from the front of `buffer` until they hold about `events` events; at least one message, because it is
 * acknowledged as a whole.
 */
export function takeDeliveries(
  buffer: ConsumeMessage[],
  events: number,
  isLogged: (source: string) => boolean,
): Delivery[] {
  const deliveries: Delivery[] = [];
  for (let taken = 0; taken < events && buffer.length > 0; ) {
    const delivery = read(buffer.shift()!, isLogged);
    deliveries.push(delivery);
    taken += delivery.items.length;
  }
  return deliveries;
}

function read(message: ConsumeMessage, isLogged: (source: string) => boolean): Delivery {
  try {
    return { message, items: decode(message, isLogged).map((envelope) => ({ envelope })) };
  } catch (error) {
    if (!(error instanceof UnreadableMessageError)) throw error;
    return { message, items: [], unreadable: error.message };
  }
}
