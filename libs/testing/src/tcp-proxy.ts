import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where bytes go: from the client to the server, or back. */
export type Direction = 'toServer' | 'toClient';

export interface TcpProxy {
  /** The address that was given, with this proxy's host and port in it. */
  readonly url: string;
  /** Connections that are open at the moment. */
  readonly connections: number;
  /** Connections that were accepted so far. */
  readonly accepted: number;
  /** Heals everything. What was held back goes on its way, as TCP's retransmissions would see to. */
  pass(): void;
  /** Nothing arrives any more in this direction, not even the end of a connection; new connections hang. */
  blackHole(direction?: Direction | 'both'): void;
  /** Every byte takes this much longer, in both directions. */
  delay(ms: number): void;
  /** Ends all connections with RST; new ones work. */
  reset(): void;
  /** Ends all connections with RST, and new ones, too, until `pass`. */
  refuse(): void;
  /** Lets this many more bytes through, counted over all connections; then their connection is cut, with RST to the sender. */
  cutAfter(bytes: number, direction: Direction): void;
  close(): Promise<void>;
}

const MAX_QUEUED_BYTES = 1024 * 1024;

/**
 * Stands between a client and its server and does to their connections what networks do.
 * @param target the server's URL, such as `amqp://guest:guest@127.0.0.1:5672/vhost`
 */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target);
  const gates = { toServer: new Gate(), toClient: new Gate() };
  const cuts: Partial<Record<Direction, number>> = {};
  const pairs = new Set<[Socket, Socket]>();
  let latencyMs = 0;
  let refusing = false;
  let accepted = 0;

  /** How much of `chunk` may pass. */
  const allowed = (direction: Direction, chunk: Buffer): number => {
    const left = cuts[direction];
    if (left === undefined) return chunk.length;
    cuts[direction] = Math.max(0, left - chunk.length);
    return Math.min(left, chunk.length);
  };

  const pump = async (from: Socket, to: Socket, direction: Direction): Promise<void> => {
    let tail: Promise<unknown> = Promise.resolve();
    let queued = 0;
    const forward = async (chunk: Buffer, dueAt: number) => {
      const early = dueAt - performance.now();
      if (early > 0) await sleep(early);
      await gates[direction].passed();
      queued -= chunk.length;
      const length = allowed(direction, chunk);
      if (length === chunk.length) {
        if (!to.write(chunk) && !to.destroyed) await room(to);
        return;
      }
      delete cuts[direction];
      to.end(chunk.subarray(0, length));
      cut(from);
    };
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        queued += chunk.length;
        tail = tail.then(() => forward(chunk, performance.now() + latencyMs));
        if (queued > MAX_QUEUED_BYTES) await tail;
      }
      await tail;
      await gates[direction].passed();
      to.end();
    } catch {
      await gates[direction].passed();
      cut(to);
    }
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    void accept(client);
  });
  const accept = async (client: Socket) => {
    client.on('error', () => undefined);
    if (refusing) return cut(client);
    accepted++;
    const upstream = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
    upstream.on('error', () => undefined);
    const pair: [Socket, Socket] = [client, upstream];
    pairs.add(pair);
    await Promise.allSettled([pump(client, upstream, 'toServer'), pump(upstream, client, 'toClient')]);
    pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const proxied = new URL(target);
  proxied.hostname = '127.0.0.1';
  proxied.port = String((server.address() as AddressInfo).port);
  const reset = () => {
    for (const pair of pairs) for (const socket of pair) cut(socket);
  };
  return {
    url: proxied.href,
    get connections() {
      return pairs.size;
    },
    get accepted() {
      return accepted;
    },
    pass: () => {
      latencyMs = 0;
      refusing = false;
      delete cuts.toServer;
      delete cuts.toClient;
      for (const gate of Object.values(gates)) gate.open();
    },
    blackHole: (direction = 'both') => {
      if (direction !== 'toClient') gates.toServer.shut();
      if (direction !== 'toServer') gates.toClient.shut();
    },
    delay: (ms) => (latencyMs = ms),
    reset,
    refuse: () => {
      refusing = true;
      reset();
    },
    cutAfter: (bytes, direction) => (cuts[direction] = bytes),
    close: async () => {
      refusing = true;
      reset();
      for (const gate of Object.values(gates)) gate.open();
      server.close();
      await once(server, 'close');
    },
  };
}

/** With RST, unless its end is on its way already: Node.js would close it neither in this way nor in another. */
function cut(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

/** Until more can be written, or never again. */
function room(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('drain', resolve);
    socket.once('close', resolve);
  });
}

/** A way that is open or shut. */
class Gate {
  #shut: { opened: Promise<void>; open: () => void } | undefined;

  shut(): void {
    if (this.#shut) return;
    let open = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    this.#shut = { opened, open };
  }

  open(): void {
    this.#shut?.open();
    this.#shut = undefined;
  }

  async passed(): Promise<void> {
    while (this.#shut) await this.#shut.opened;
  }
}
