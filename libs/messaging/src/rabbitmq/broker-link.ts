// A connection with one channel, kept alive as a unit: whatever breaks – socket, channel, consumer, topology – the link
// is closed and built anew, with growing random delays, for ever. It never throws at its owner and never ends the process.
import { EventEmitter, once } from 'node:events';
import { hostname } from 'node:os';
import { Logger } from '@nestjs/common';
import { connect, type Channel, type ChannelModel, type ConfirmChannel } from 'amqplib';
import { backOff } from './backoff.js';

export type LinkState = 'connecting' | 'connected' | 'blocked' | 'stopped';

export interface LinkStatus {
  state: LinkState;
  /** Why it is not connected, in words that say what to do. */
  reason?: string;
}

interface LinkOptions<C extends Channel> {
  urls: readonly string[];
  service: string;
  /** What the connection is for; shown in the management UI: `orders@host:pid consumer`. */
  purpose: string;
  open: (model: ChannelModel) => Promise<C>;
  /** Declares what is needed and starts to work. A failure closes the link and is tried again. */
  setUp: (channel: C) => Promise<void>;
}

/** 3 missed heartbeats = a dead peer is found after 15–20 s. */
const HEARTBEAT_SECONDS = 6;
const CONNECT_TIMEOUT_MS = 5_000;
/** A close that takes longer (blocked or half-open socket) is cut. */
const CLOSE_TIMEOUT_MS = 1_000;
/** A link that held this long was healthy: the next delay is short again. */
const HEALTHY_AFTER_MS = 10_000;

export class BrokerLink<C extends Channel = Channel> extends EventEmitter<{ state: [LinkStatus] }> {
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #status: LinkStatus = { state: 'connecting', reason: 'not connected yet' };
  #channel: C | undefined;
  #model: ChannelModel | undefined;
  #running: Promise<void> | undefined;

  constructor(private readonly options: LinkOptions<C>) {
    super();
    this.#logger = new Logger(`RabbitMQ ${options.purpose}`);
  }

  static readonly tag = (service: string) => `${service}@${hostname()}:${process.pid}`;

  get status(): LinkStatus {
    return this.#status;
  }

  /** The open channel; `undefined` while the link is down. */
  get channel(): C | undefined {
    return this.#channel;
  }

  /** Starts to connect, in the background. */
  start(): void {
    this.#running ??= this.#keepAlive();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#close();
    await this.#running;
    this.#become({ state: 'stopped' });
  }

  /** Closes what there is and builds it anew. */
  rebuild(reason: string): void {
    if (this.#channel) this.#logger.warn(`${reason}; connecting again`);
    void this.#close();
  }

  async #keepAlive(): Promise<void> {
    for (let attempt = 0; !this.#stopping.signal.aborted; attempt++) {
      const since = Date.now();
      const reason = await this.#live(attempt);
      if (this.#stopping.signal.aborted) break;
      if (Date.now() - since > HEALTHY_AFTER_MS) attempt = 0;
      this.#become({ state: 'connecting', reason });
      await backOff(attempt, { signal: this.#stopping.signal });
    }
  }

  /** One life of the link. Resolves, when it is over, with the reason. */
  async #live(attempt: number): Promise<string> {
    let reason = 'connection closed';
    try {
      const model = await this.#connect(attempt);
      this.#model = model;
      const closed = once(model, 'close').catch(() => {});
      model.on('error', (error: Error) => (reason = explain(error)));
      model.on('blocked', (why: string) => this.#become({ state: 'blocked', reason: `RabbitMQ blocks publishers: ${why}` }));
      model.on('unblocked', () => this.#become({ state: 'connected' }));
      try {
        if (this.#stopping.signal.aborted) return reason;
        const channel = await orClosed(this.options.open(model), closed);
        channel.on('error', (error: Error) => (reason = explain(error)));
        channel.on('close', () => void this.#close());
        await orClosed(this.options.setUp(channel), closed);
        this.#channel = channel;
        this.#become({ state: 'connected' });
        await closed;
      } finally {
        this.#channel = undefined;
        await this.#close();
      }
    } catch (error) {
      if (reason === 'connection closed') reason = explain(error as Error);
    }
    return reason;
  }

  async #connect(attempt: number): Promise<ChannelModel> {
    const { urls, service, purpose } = this.options;
    const url = new URL(urls[attempt % urls.length]!);
    url.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
    return connect(url.href, {
      noDelay: true,
      keepAlive: true,
      timeout: CONNECT_TIMEOUT_MS,
      clientProperties: { connection_name: `${BrokerLink.tag(service)} ${purpose}` },
    });
  }

  async #close(): Promise<void> {
    const model = this.#model;
    if (!model) return;
    this.#model = undefined;
    const cut = setTimeout(() => socketOf(model).destroy(), CLOSE_TIMEOUT_MS);
    try {
      await model.close();
    } catch {
      socketOf(model).destroy(); // it was closing or closed already
    } finally {
      clearTimeout(cut);
    }
  }

  #become(status: LinkStatus): void {
    const { state, reason } = this.#status;
    this.#status = status;
    if (status.state !== state || status.reason !== reason) {
      if (status.state === 'connected') this.#logger.log('connected');
      else if (status.state !== 'stopped') this.#logger.warn(`${status.state}: ${status.reason}`);
    }
    this.emit('state', status);
  }
}

/** A confirm channel for publishing. */
export const openConfirmChannel = (model: ChannelModel): Promise<ConfirmChannel> =>
  model.createConfirmChannel({ highWaterMark: 4096 });

async function orClosed<T>(work: Promise<T>, closed: Promise<unknown>): Promise<T> {
  work.catch(() => {}); // if the connection dies first, nobody else listens
  return Promise.race([
    work,
    closed.then(() => {
      throw new Error('the connection was closed while it was being set up');
    }),
  ]);
}

const socketOf = (model: ChannelModel) =>
  (model.connection as unknown as { stream: { destroy(): void } }).stream;

/** The broker's error with its remedy, where there is one. */
function explain(error: Error): string {
  const message = error instanceof AggregateError ? String(error.errors[0]) : error.message;
  if (message.includes('PRECONDITION_FAILED') || message.includes('PRECONDITION-FAILED')) {
    return `${message}. A queue or exchange of that name exists with other settings: delete it in the management UI (nothing is lost, events are replayed from the log) or restore its settings`;
  }
  if (message.includes('ACCESS_REFUSED') || message.includes('403')) {
    return `${message}. Check user, password and permissions in RABBITMQ_URL`;
  }
  if (message.includes('NOT_ALLOWED')) return `${message}. Check the virtual host in RABBITMQ_URL`;
  if (/ECONNREFUSED|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH/.test(message)) {
    return `${message}. Is RabbitMQ running, and does RABBITMQ_URL point to it?`;
  }
  return message;
}
