import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import { Failure } from './failure.mjs';

/**
 * Not the port that the system would choose (port 0): it is one of those for outgoing connections, of which one may take it
 * before the server is there. Linux has these from 32768 on, macOS and Windows from 49152 on.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 31_999;
/** What this process has looked at; the server that was given one may not have started yet. @type {Set<number>} */
const given = new Set();

/** @returns {Promise<number>} a port that nobody uses at the moment, and each time another one */
export async function freePort() {
  const first = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT + 1));
  for (let port = first; ; port = port === HIGHEST_PORT ? LOWEST_PORT : port + 1) {
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}

/**
 * @param {number} port
 * @param {string} [host]
 * @returns {Promise<boolean>} whether something answers there
 */
export function answers(port, host = '127.0.0.1') {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host, timeout: 2000 });
    const done = (/** @type {boolean} */ yes) => resolve((socket.destroy(), yes));
    socket
      .once('connect', () => done(true))
      .once('error', () => done(false))
      .once('timeout', () => done(false));
  });
}

/**
 * @param {number} port
 * @param {string} host
 * @returns {Promise<string | undefined>} the error code, if one cannot listen there
 */
function listenError(port, host) {
  return new Promise((resolve) => {
    const server = net.createServer().once('error', (/** @type {NodeJS.ErrnoException} */ e) => resolve(e.code));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}

/**
 * Free for us means: we can listen on it, and "localhost" does not lead to somebody else, on IPv6 or (macOS) on 0.0.0.0.
 * @param {number} port
 */
export async function isFree(port) {
  if (await listenError(port, '127.0.0.1')) return false;
  if ((await listenError(port, '::1')) === 'EADDRINUSE') return false;
  return !(await answers(port));
}

/**
 * @param {number} port
 * @param {{ what: string, remedy: string }} words
 */
export async function requireFree(port, { what, remedy }) {
  const error = await listenError(port, '127.0.0.1');
  if (error === 'EACCES') {
    throw new Failure(
      `No permission to use port ${port} for ${what}.`,
      `Ports below 1024 belong to root. Choose another: ${remedy}`,
    );
  }
  if (await isFree(port)) return;
  const owner = ownerOf(port);
  throw new Failure(
    `Port ${port}, wanted for ${what}, is taken${owner ? ` by ${owner}` : ''}.`,
    `Stop that program, or choose another port: ${remedy}`,
  );
}

/**
 * @param {number} port
 * @returns {string | undefined} the process that listens there, if this user may know it
 */
export function ownerOf(port) {
  try {
    return process.platform === 'linux' ? ownerFromProc(port) : ownerFromLsof(port);
  } catch {
    return undefined;
  }
}

/** @param {number} port */
function ownerFromProc(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const listening = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(`:${hex}`) && columns[3] === '0A')
    .map((columns) => `socket:[${columns[9]}]`);
  if (listening.length === 0) return undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (socketsOf(pid).some((socket) => listening.includes(socket))) {
      return `${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()} (pid ${pid})`;
    }
  }
  return undefined;
}

/** @param {string} pid */
function socketsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return '';
      }
    });
  } catch {
    return []; // another user's process
  }
}

/** @param {number} port */
function ownerFromLsof(port) {
  const out = execFileSync('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fpc'], {
    encoding: 'utf8',
    stdio: 'pipe',
  });
  const pid = /^p(\d+)$/m.exec(out)?.[1];
  return pid && `${/^c(.+)$/m.exec(out)?.[1] ?? 'a process'} (pid ${pid})`;
}
