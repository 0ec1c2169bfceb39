import { EventEmitter, once } from 'node:events';
import { request as httpRequest, Agent, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';

import { TransactionClosedError } from '@app/database';
import { Controller, Get, Injectable, Module, type LoggerService, type OnApplicationShutdown } from '@nestjs/common';

import { bootstrap } from './bootstrap.js';
import { loadConfig } from './config.js';
import { createHttpApp } from './http-app.js';
import { Lifecycle, type ServiceProcess } from './lifecycle.js';

let release = (): void => {};
let hang: Promise<void> | undefined;
let begun = (): void => {};

@Controller('slow')
class Slow implements OnApplicationShutdown {
  static readonly events: string[] = [];
  @Get()
  async get() {
    begun();
    await new Promise<void>((resolve) => (release = resolve));
    Slow.events.push('request ended');
    return { ok: true };
  }
  onApplicationShutdown() {
    Slow.events.push('shutdown');
  }
}

@Injectable()
class Stubborn implements OnApplicationShutdown {
  onApplicationShutdown = () => hang;
}

@Module({ controllers: [Slow], providers: [Stubborn] })
class SlowModule {}

function fakeProcess(env: NodeJS.ProcessEnv = {}) {
  const emitter = new EventEmitter();
  const exited = once(emitter, 'exit').then(([code]) => code as number);
  const exit = (code: number) => emitter.emit('exit', code);
  const loadEnvFile = () => {};
  const process = Object.assign(emitter, { env, exit, loadEnvFile }) as unknown as ServiceProcess & EventEmitter;
  return { process, exited };
}

async function start(shutdownTimeoutMs = 5000) {
  const env = {
    SLOW_DATABASE_URL: 'postgres://localhost/slow',
    LOG_LEVEL: 'silent',
    SHUTDOWN_TIMEOUT_MS: String(shutdownTimeoutMs),
  };
  const config = loadConfig('slow', { port: 0 }, env);
  const lines: string[] = [];
  const say = (message: unknown) => void lines.push(String(message));
  const logger: LoggerService = { log: say, warn: say, error: say, fatal: say };
  const { process, exited } = fakeProcess();
  const lifecycle = new Lifecycle(config, logger, process);
  const app = await createHttpApp(SlowModule, config, { title: 'Slow' });
  await app.listen(0, '127.0.0.1');
  lifecycle.started(app);
  const { port } = app.getHttpServer().address() as { port: number };
  return { app, lines, process, exited, port, lifecycle };
}

/** Asks for `/slow` on a connection that would stay open, and comes back when the handler runs. */
async function ask(port: number) {
  const arrived = new Promise<void>((resolve) => (begun = resolve));
  const request = httpRequest({ port, path: '/slow', agent: new Agent({ keepAlive: true }) });
  const response = once(request, 'response').then(([message]) => (message as IncomingMessage).resume());
  response.catch(() => {});
  request.end();
  await arrived;
  return { response };
}

const oneTurn = () => new Promise((resolve) => setTimeout(resolve, 50));

beforeEach(() => {
  hang = undefined;
  Slow.events.length = 0;
});

describe('SIGTERM', () => {
  it('lets running requests finish before anything is given back, and exits with 0', async () => {
    const { process, exited, port } = await start();
    const { response } = await ask(port);
    process.emit('SIGTERM');
    await oneTurn();
    expect(Slow.events).toEqual([]);
    release();
    const { statusCode, headers } = await response;
    expect([statusCode, headers.connection]).toEqual([200, 'close']);
    expect(await exited).toBe(0);
    expect(Slow.events).toEqual(['request ended', 'shutdown']);
  });

  it('ends idle connections at once', async () => {
    const { process, exited, port } = await start();
    const socket = connect(port);
    await once(socket, 'connect');
    socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    const began = performance.now();
    process.emit('SIGTERM');
    expect(await exited).toBe(0);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  it('breaks off a request that does not end, so that everything else can', async () => {
    const { process, exited, port, lines } = await start(300);
    const { response } = await ask(port);
    process.emit('SIGTERM');
    await expect(response).rejects.toThrow('socket hang up');
    expect(await exited).toBe(0);
    expect(lines).toContain('Breaks off 1 requests that do not end: GET /slow');
    release();
  });

  it('is obeyed even if something hangs, which it names; then the exit code is 1', async () => {
    const { process, exited, lines } = await start(100);
    let free = (): void => {};
    hang = new Promise((resolve) => (free = resolve));
    process.emit('SIGTERM');
    expect(await exited).toBe(1);
    expect(lines.at(-1)).toBe('Not finished 100 ms after the signal; gives up on: Stubborn.onApplicationShutdown');
    free();
  });

  it('ends the process at once if it comes again', async () => {
    const { process, exited, port, app } = await start();
    await ask(port);
    process.emit('SIGTERM');
    process.emit('SIGINT');
    expect(await exited).toBe(1);
    release();
    await app.close();
  });

  it('ends a process that has not started yet', async () => {
    const { process, exited } = fakeProcess();
    const config = loadConfig('slow', { port: 0 }, { SLOW_DATABASE_URL: 'postgres://localhost/slow' });
    new Lifecycle(config, { log() {}, warn() {}, error() {} }, process);
    process.emit('SIGTERM');
    expect(await exited).toBe(0);
  });
});

it.each(['uncaughtException', 'unhandledRejection'])('%s is fatal', async (event) => {
  const { process, exited } = fakeProcess();
  const config = loadConfig('slow', { port: 0 }, { SLOW_DATABASE_URL: 'postgres://localhost/slow' });
  const fatal = jest.fn();
  new Lifecycle(config, { log() {}, warn() {}, error() {}, fatal }, process);
  const error = new Error('unexpected');
  process.emit(event, error);
  expect(await exited).toBe(1);
  expect(fatal).toHaveBeenCalledWith(expect.any(String), error, 'Service');
});

it('a statement that nobody awaited is told, and ends nothing', () => {
  const { process } = fakeProcess();
  const exit = jest.spyOn(process, 'exit');
  const config = loadConfig('slow', { port: 0 }, { SLOW_DATABASE_URL: 'postgres://localhost/slow' });
  const error = jest.fn();
  new Lifecycle(config, { log() {}, warn() {}, error }, process);
  const closed = new TransactionClosedError('update pets set name = $1');
  process.emit('unhandledRejection', closed);
  expect(error).toHaveBeenCalledWith('A statement failed that nobody awaited', closed, 'Service');
  expect(closed.message).toContain('is an "await" missing');
  expect(exit).not.toHaveBeenCalled();
});

it('prints what is wrong with the configuration, without a stack, and exits with 78', async () => {
  const print = jest.spyOn(console, 'error').mockImplementation(() => {});
  const { process, exited } = fakeProcess({ SLOW_PORT: 'x' });
  await bootstrap({ service: 'slow', port: 0, module: SlowModule, title: 'Slow' }, process);
  expect(await exited).toBe(78);
  expect(print).toHaveBeenCalledTimes(1);
  expect(print.mock.calls[0]?.[0]).toMatch(/SLOW_PORT +x +must be a whole number/);
  print.mockRestore();
});
