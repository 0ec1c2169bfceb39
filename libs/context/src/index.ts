import { AsyncLocalStorage } from 'node:async_hooks';

export { sabotaged, SABOTAGES } from './sabotage.js';

/**
 * What the code that runs now works on: one HTTP request or one event. It follows every `await`.
 * One store for everything, because on Node 20 the storage itself is the dearest part of handling an event.
 */
export interface Context {
  /** Ties together everything that one request set in motion, across services. */
  correlationId: string;
  /** The id of the event that caused this work; absent for a request. */
  causationId?: string;
  /** W3C trace context of the work, if the caller sent one. */
  traceparent?: string | undefined;
  /** The open transaction, owned by `@app/database`. */
  transaction?: unknown;
  /** The event that is being applied, owned by `@app/messaging`. */
  event?: unknown;
}

const storage = new AsyncLocalStorage<Context>();

/** The context of the running code, or `undefined` outside of any request or event. */
export const currentContext = (): Context | undefined => storage.getStore();

/** Runs `work` in `context`; everything it awaits sees the same. */
export const runInContext = <T>(context: Context, work: () => T): T => storage.run(context, work);
