import { createServer } from 'node:net';

/**
 * Not the port that the system would choose (port 0): it is one of those for outgoing connections, of which one may take it
 * before the server is there. Linux has these from 32768 on, macOS and Windows from 49152 on.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 31_999;
/** What this process has looked at; the server that was given one may not have started yet. */
const given = new Set<number>();

/** A port on 127.0.0.1 that nobody uses at the moment, and each time another one. */
export async function freePort(): Promise<number> {
  const first = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT + 1));
  for (let port = first; ; port = port === HIGHEST_PORT ? LOWEST_PORT : port + 1) {
    if (given.has(port)) continue;
    given.add(port);
    if (await canListen(port)) return port;
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
