import { currentContext } from '@app/context';
import { Controller, Get, HttpCode, Injectable, Logger, Module, Post, Put, type LoggerService } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';

import { ServiceConfig, loadConfig } from './config.js';
import { HealthRegistry } from './health.js';
import { createHttpApp } from './http-app.js';
import { ConflictProblem } from './problem.js';

@Injectable()
class Things {
  constructor(
    readonly config: ServiceConfig,
    readonly health: HealthRegistry,
  ) {}
}

@Controller('things')
class ThingsController {
  constructor(private readonly things: Things) {}
  @Get()
  get() {
    return { service: this.things.config.service, context: currentContext() };
  }
  @Post()
  @HttpCode(200)
  async post() {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return { context: currentContext() };
  }
  @Put('conflict')
  conflict() {
    throw new ConflictProblem('Taken.', { type: 'https://example.com/problems/taken', headers: { 'x-holder': 'bob' } });
  }
  @Put('failure')
  failure() {
    throw new Error('inner secret');
  }
}

@Module({ controllers: [ThingsController], providers: [Things] })
class ThingsModule {}

async function start(): Promise<NestFastifyApplication> {
  const config = loadConfig(
    'things',
    { port: 0 },
    { THINGS_DATABASE_URL: 'postgres://localhost/t', LOG_LEVEL: 'silent' },
  );
  const app = await createHttpApp(ThingsModule, config, { title: 'Things' });
  return app.init();
}

let app: NestFastifyApplication;
beforeAll(async () => (app = await start()));
afterAll(() => app.close());

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const uuid = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

describe('a request', () => {
  async function contextOf(headers: Record<string, string>) {
    const response = await app.inject({ method: 'POST', url: '/things', payload: { a: 1 }, headers });
    const { context } = response.json<{ context: { correlationId: string; traceparent?: string } }>();
    expect(response.headers['x-correlation-id']).toBe(context.correlationId);
    return context;
  }

  it('runs in a context, also after its body has been read and after an await', async () => {
    expect(await contextOf({ 'x-correlation-id': 'order-7_a.B' })).toEqual({ correlationId: 'order-7_a.B' });
    expect(await contextOf({ traceparent })).toEqual({
      correlationId: '4bf92f3577b34da6a3ce929d0e0e4736',
      traceparent,
    });
    expect(await contextOf({ traceparent, 'x-correlation-id': 'x' })).toEqual({ correlationId: 'x', traceparent });
    const newer = traceparent.replace('00-', 'cc-');
    expect(await contextOf({ traceparent: `${newer}-${'a'.repeat(145)}` })).toMatchObject({ traceparent: newer });
    expect((await contextOf({})).correlationId).toMatch(uuid);
  });

  it.each([
    ['x-correlation-id', ''],
    ['x-correlation-id', 'a b'],
    ['x-correlation-id', 'a'.repeat(129)],
    ['x-correlation-id', '{"a":1}'],
    ['traceparent', '00-00000000000000000000000000000000-00f067aa0ba902b7-01'],
    ['traceparent', traceparent.replace('00-', 'ff-')],
    ['traceparent', `${traceparent}-${'a'.repeat(145)}`],
    ['traceparent', traceparent.toUpperCase().replace('F', 'G')],
  ])('ignores %s: %.20s', async (name, value) => {
    expect(await contextOf({ [name]: value })).toEqual({ correlationId: expect.stringMatching(uuid) as string });
  });

  it('keeps its context to itself', async () => {
    const ids = Array.from({ length: 50 }, (_, i) => `c-${i}`);
    const contexts = await Promise.all(ids.map((id) => contextOf({ 'x-correlation-id': id })));
    expect(contexts.map(({ correlationId }) => correlationId)).toEqual(ids);
  });

  it('can use the configuration and the health registry', async () => {
    expect((await app.inject('/things')).json()).toMatchObject({ service: 'things' });
    expect(app.get(Things).health).toBe(app.get(HealthRegistry));
  });
});

describe('an error', () => {
  it('is answered as problem details, with what the thrower says', async () => {
    const response = await app.inject({
      method: 'PUT',
      url: '/things/conflict?token=x',
      headers: { 'x-correlation-id': 'c-1' },
    });
    expect(response.statusCode).toBe(409);
    expect(response.headers).toMatchObject({ 'content-type': 'application/problem+json', 'x-holder': 'bob' });
    expect(response.json()).toEqual({
      type: 'https://example.com/problems/taken',
      title: 'Conflict',
      status: 409,
      detail: 'Taken.',
      instance: '/things/conflict',
      correlationId: 'c-1',
    });
  });

  it('that nobody expected tells nothing, but is in the log with its stack', async () => {
    const error = jest.fn();
    Logger.overrideLogger({ error, log() {}, warn() {} } satisfies LoggerService);
    const response = await app.inject({ method: 'PUT', url: '/things/failure' });
    Logger.overrideLogger(false);
    expect(response.statusCode).toBe(500);
    expect(response.body).not.toContain('inner secret');
    expect(error).toHaveBeenCalledWith(
      'PUT /things/failure failed',
      expect.objectContaining({ message: 'inner secret' }),
      'Problem',
    );
  });

  it.each([
    ['GET', '/nothing', 404, undefined],
    ['GET', '/docs/nothing.js', 404, undefined],
    ['DELETE', '/things', 405, 'GET, HEAD, POST'],
    ['GET', '/things/conflict', 405, 'PUT'],
    ['OPTIONS', '/things', 405, 'GET, HEAD, POST'],
  ] as const)('%s %s is a %d', async (method, url, status, allow) => {
    const response = await app.inject({ method, url });
    expect(response.statusCode).toBe(status);
    expect(response.json()).toMatchObject({ status, instance: url });
    expect(response.headers.allow).toBe(allow);
  });
});
