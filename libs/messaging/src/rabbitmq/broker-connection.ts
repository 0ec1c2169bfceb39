// One connection to the broker, from the first packet until its socket is gone for good. It can be cut in any state, so
// that nothing ever waits for a peer that is silent; closing it twice, or while it breaks, is harmless.
import type { Socket } from 'node:net';
import { connect, type ChannelModel, type SocketOptions } from 'amqplib';
import { explain } from './explain.js';

/** 2 to 3 silent intervals = dead: a half-open connection is found after 12–18 s. `?heartbeat=` in the URL overrides it. */
const HEARTBEAT_SECONDS = 6;
/** Silence during the handshake. */
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** A close that takes longer (blocked or half-open socket) is cut. */
const CLOSE_TIMEOUT_MS = 1_000;

export class BrokerConnection {
  /** Resolves when the socket is gone; never rejects. */
  readonly closed: Promise<void>;
  #reason: string | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    readonly model: ChannelModel,
    private readonly cut: AbortController,
  ) {
    const socket = socketOf(model);
    this.closed = new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));
    model.on('error', (error: Error) => this.blame(error));
    model.on('close', (error?: Error) => {
      if (error) this.blame(error);
      void this.close(); // amqplib only half-closes its socket, and never lets go of a peer that is silent
    });
  }

  /**
   * @param name shown in the management UI
   * @param signal gives up at once
   */
  static async open(url: string, name: string, signal: AbortSignal): Promise<BrokerConnection> {
    const address = new URL(url);
    if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
    const cut = new AbortController();
    const abort = () => cut.abort();
    signal.addEventListener('abort', abort);
    try {
      signal.throwIfAborted();
      const options = {
        noDelay: true,
        keepAlive: true,
        timeout: HANDSHAKE_TIMEOUT_MS,
        clientProperties: { connection_name: name },
        signal: cut.signal, // reaches the socket, whatever state it is in
      } as SocketOptions;
      const model = await connect(address.href, options);
      return new BrokerConnection(model, cut);
    } catch (error) {
      throw (error as Error).message.startsWith('Expected ConnectionOpenOk') ? new VhostRefusedError(address) : error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Why it ended, in words that say what to do. */
  get reason(): string {
    return this.#reason ?? 'connection closed';
  }

  /** The first cause is the one that is told. */
  blame(cause: Error | string): void {
    this.#reason ??= typeof cause === 'string' ? cause : explain(cause);
  }

  /** `work`, or a rejection as soon as the connection is gone: amqplib leaves some calls unanswered then. */
  async orClosed<T>(work: Promise<T>): Promise<T> {
    work.catch(noop); // if the connection goes first, nobody else listens
    const closed = this.closed.then(() =>
      Promise.reject(new Error('the connection was closed while it was being set up')),
    );
    return Promise.race([work, closed]);
  }

  /** Says goodbye, and hangs up if there is no answer within a second. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const timer = setTimeout(() => this.cut.abort(), CLOSE_TIMEOUT_MS);
    this.model.close().catch(noop); // it was closing or closed already
    await this.closed;
    clearTimeout(timer);
  }
}

/** amqplib keeps to itself what the broker said. */
class VhostRefusedError extends Error {
  constructor({ pathname }: URL) {
    const vhost = decodeURIComponent(pathname.slice(1)) || '/';
    super(`RabbitMQ refuses the virtual host "${vhost}": it does not exist, is full, or the user may not use it`);
  }
}

const noop = () => {};

const socketOf = (model: ChannelModel) => (model.connection as unknown as { stream: Socket }).stream;
