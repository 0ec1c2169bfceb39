import type { Envelope } from '../cloud-event.js';

/** One event on its way through the inbox. */
export interface Item {
  readonly envelope: Envelope;
  /** The row it comes from, if it was parked before. */
  readonly parked?: { id: string; attempts: number; state: ParkedState };
  /** It comes from the owner's log, in its order, because it was missing here. */
  readonly replayed?: boolean;
  /** It was delivered before, and may have been applied. */
  readonly redelivered?: boolean;
}

/** Why an event is parked; see the table `messaging.parked_events`. */
export type ParkedState = 'waiting' | 'retry' | 'slow' | 'incompatible' | 'dead';

/** An event could not be applied, and what becomes of it. */
export interface Failure {
  state: ParkedState;
  error: string;
  /** Whether it uses up one of the event's attempts; not if it was nobody's fault. */
  counts: boolean;
}

// 1 s, 5 s, 30 s, 5 min, 30 min, then hourly for 3 days.
const LADDER_SECONDS = [1, 5, 30, 300, 1800];
const HOURLY_ATTEMPTS = 72;

/** Seconds until attempt number `attempts + 1`, with 20 % jitter; `undefined`: give up. */
export function retryDelay(attempts: number, random = Math.random()): number | undefined {
  if (attempts > LADDER_SECONDS.length + HOURLY_ATTEMPTS) return undefined;
  return (LADDER_SECONDS[attempts - 1] ?? 3600) * (0.9 + random * 0.2);
}

/** An error as an operator reads it: message, causes and the first frames. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${describe(error.cause)}`;
  return `${(error.stack ?? `${error.name}: ${error.message}`).slice(0, 4_000)}${cause}`.replaceAll('\0', '');
}
