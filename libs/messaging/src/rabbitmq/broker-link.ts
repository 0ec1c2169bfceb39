// A connection with one channel, kept alive as a unit: whatever breaks – socket, channel, consumer, topology – the link
// is closed and built anew, with growing random delays, for ever. It never throws at its owner and never ends the process.
import { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { Logger } from '@nestjs/common';
import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib';
import { connectionIs } from '../operations/metrics.js';
import { backOff } from './backoff.js';
import { BrokerConnection } from './broker-connection.js';
import { explain } from './explain.js';

export type LinkState = 'connecting' | 'connected' | 'blocked' | 'stopped';

export interface LinkStatus {
  state: LinkState;
  /** Why it is not connected, in words that say what to do. */
  reason?: string;
}

interface LinkOptions<C extends Channel> {
  /** Tried in turn. */
  urls: readonly string[];
  service: string;
  /** What the connection is for; shown in the management UI: `orders@host:pid consumer`. */
  purpose: string;
  open: (model: ChannelModel) => Promise<C>;
  /** Declares what is needed and starts to work. A failure closes the link and is tried again. */
  setUp: (channel: C) => Promise<void>;
}

/** A link that held this long was healthy: the next delay is short again. */
const HEALTHY_AFTER_MS = 10_000;

export class BrokerLink<C extends Channel = Channel> extends EventEmitter<{ state: [LinkStatus] }> {
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #status: LinkStatus = { state: 'connecting', reason: 'not connected yet' };
  #connection: BrokerConnection | undefined;
  #channel: C | undefined;
  #failures = 0;
  #running: Promise<void> | undefined;

  constructor(private readonly options: LinkOptions<C>) {
    super();
    this.#logger = new Logger(`RabbitMQ ${options.purpose}`);
  }

  static readonly tag = (service: string) => `${service}@${hostname()}:${process.pid}`;

  get status(): LinkStatus {
    // What is told to others changes once it is clear why.
    const isLost = this.#status.state === 'connected' && !this.#channel;
    return isLost ? { state: 'connecting', reason: this.#connection?.reason ?? 'connection closed' } : this.#status;
  }

  /** The open channel; `undefined` while the link is down. */
  get channel(): C | undefined {
    return this.#channel;
  }

  /** Starts to connect, in the background. */
  start(): void {
    connectionIs(this.options.purpose, 'connecting'); // a first set-up that never ends must be seen, too
    this.#running ??= this.#keepAlive();
  }

  /** Takes a second at most, in whatever state it is; nothing is left open. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#connection?.close();
    await this.#running;
    this.#become({ state: 'stopped' });
  }

  /** Closes what there is and builds it anew. */
  rebuild(reason: string): void {
    this.#connection?.blame(reason);
    void this.#connection?.close();
  }

  /** The link does what it is for: the next delay is short, however soon it breaks. */
  proven(): void {
    this.#failures = 0;
  }

  async #keepAlive(): Promise<void> {
    const { urls, service, purpose } = this.options;
    // Not all processes at the same node.
    for (let life = Math.floor(Math.random() * urls.length); !this.#stopping.signal.aborted; life++) {
      const since = performance.now();
      const reason = await this.#live(urls[life % urls.length]!, `${BrokerLink.tag(service)} ${purpose}`);
      if (this.#stopping.signal.aborted) break;
      this.#become({ state: 'connecting', reason });
      if (performance.now() - since > HEALTHY_AFTER_MS) this.#failures = 0;
      // Every node of a cluster gets its turn before the delay grows.
      await backOff(Math.floor(this.#failures++ / urls.length), { signal: this.#stopping.signal });
    }
  }

  /** One life of the link. Resolves, when it is over and its socket gone, with the reason. */
  async #live(url: string, name: string): Promise<string> {
    let connection: BrokerConnection | undefined;
    try {
      connection = await BrokerConnection.open(url, name, this.#stopping.signal);
      this.#connection = connection;
      if (!this.#stopping.signal.aborted) await this.#use(connection);
    } catch (error) {
      if (!connection) return explain(error);
      connection.blame(error as Error);
    } finally {
      this.#channel = undefined;
      await connection?.close();
      this.#connection = undefined;
    }
    return connection.reason;
  }

  /** Until it closes. */
  async #use(connection: BrokerConnection): Promise<void> {
    const { model } = connection;
    let blocked: LinkStatus | undefined;
    const tell = () => {
      if (blocked) this.#become(blocked);
      else if (this.#channel) this.#become({ state: 'connected' });
    };
    model.on('blocked', (why: string) => {
      blocked = { state: 'blocked', reason: `RabbitMQ blocks publishers: ${why}` };
      tell();
    });
    model.on('unblocked', () => {
      blocked = undefined;
      tell();
    });
    const channel = await connection.orClosed(this.options.open(model));
    channel.on('error', (error: Error) => connection.blame(error));
    channel.on('close', () => {
      this.#channel = undefined;
      void connection.close();
    });
    await connection.orClosed(this.options.setUp(channel));
    this.#channel = channel;
    tell();
    await connection.closed;
  }

  #become(status: LinkStatus): void {
    const { state, reason } = this.#status;
    this.#status = status;
    connectionIs(this.options.purpose, status.state);
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
