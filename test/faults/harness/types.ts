import type { Trial } from './trial.mjs';

/** An event that a command is to record. */
export interface PlannedEvent {
  /** Such as `account.credited`. */
  name: string;
  amount: number;
  flag?: string;
  paddingBytes?: number;
  /** Recorded by a timer, so long after the command. */
  afterMs?: number;
}

export interface PlannedCommand {
  /** Chosen by the client; repeated after an unknown outcome. */
  id: string;
  accountId: string;
  events: PlannedEvent[];
  /** Keeps its transaction open for so long. */
  pauseMs?: number;
  mode?: 'write-only' | 'roll-back' | 'swallow';
}

/** ok: 2xx; failed: 4xx, nothing may have happened; unknown: everything else. */
export type Outcome = 'ok' | 'failed' | 'unknown';

export interface LoadOptions {
  /** Commands are spread over this time; default 6. */
  seconds?: number;
  /** This share of the commands comes after the others, and is spread over so many seconds of its own. */
  trickle?: { share: number; seconds: number };
  /** Events that take longer than a live reaction may; default 2. */
  slow?: number;
  /** Share of commands that keep their transaction open for up to 2 s; default 0. */
  late?: number;
  /** Times as many events as in other scenarios; default 1. */
  times?: number;
  /** Events per command at most; default 3. */
  perCommand?: number;
  /** Share of commands that are rolled back after they have recorded an event; default 0.02. */
  rolledBack?: number;
  /** Commands with an event of 300 kB, which must be refused; default 0. */
  oversized?: number;
  /** Share of plain commands whose last event is recorded by a timer, 1–5 s later; default 0. */
  timers?: number;
  /** How many events are made so many bytes larger, e.g. `{ 80_000: 3 }`. */
  padded?: Record<number, number>;
  /** Further events, such as `account.credited.v2`. */
  more?: string[];
  /** The load goes through a proxy, as `load`. */
  proxied?: boolean;
  /** Makes the n-th of 100 parts of the load carry one event with this flag, e.g. `{ throws: [10, 50] }`. */
  flags?: Record<string, number[]>;
  /** Requests at a time; default 16. */
  concurrency?: number;
  /** Load is started by the scenario, not before it. */
  manual?: boolean;
}

export interface ServiceOptions {
  /** `producer`, `consumer` or any other name for one more consumer; by default what `id` begins with. */
  service?: string;
  /** Variables of all its lives. */
  env?: Record<string, string>;
  /** For each of its first lives, such as `['inbox.beforeCommit=kill@3']`. */
  failpoints?: string[];
  /** Its connections to these go through a proxy. */
  proxied?: ('broker' | 'database')[];
  /** Not started before the scenario does it. */
  manual?: boolean;
  /** A command in front of `node`. */
  wrapper?: string[];
}

export interface Scenario {
  /** Short, of words with hyphens. */
  name: string;
  /** One sentence: what happens. */
  what: string;
  /** One honest sentence: what a user notices. */
  notice: string;
  /** From the end of the fault until everything that was recorded before is applied, in seconds. */
  target: number;
  /** Part of the short form. */
  short?: boolean;
  /** Needs a broker and a Postgres that no other scenario uses. */
  ownServers?: boolean;
  /** Needs three brokers. */
  cluster?: boolean;
  /** Why it cannot run on this machine, if so. */
  impossible?: () => string | undefined;
  /** How often the books are balanced, in ms; without it never, so that whatever gets lost stays lost. */
  books?: number | 'by default';
  /** Rough duration in seconds beyond load and start, for the estimate. */
  seconds?: number;
  load?: LoadOptions;
  /** By id; default: `producer` and `consumer`, one process each. */
  services?: Record<string, ServiceOptions>;
  /** Reactions besides the usual ones: every event of the types listed must have had this effect. */
  reactions?: Record<string, Record<string, string[]>>;
  /** Injects the fault, heals it, and proves that it happened. The load runs meanwhile. */
  run(trial: Trial): Promise<void>;
}

/** What the checker found. Everything but `events` and `effects` must be zero or empty. */
export interface Verdict {
  events: number;
  effects: number;
  lost: number;
  duplicated: number;
  outOfOrder: number;
  unexpected: number;
  problems: string[];
}

export interface Result extends Verdict {
  scenario: string;
  ok: boolean;
  /** What proves that the fault happened. */
  evidence: string[];
  commands: { ok: number; failed: number; repeated: number };
  recoverySeconds: number | undefined;
  /** Which share of the commands had been sent when the fault ended. */
  sentByThen: number | undefined;
  target: number;
  seconds: number;
  /** How long each part of it took, in seconds. */
  phases: Record<string, number>;
}
