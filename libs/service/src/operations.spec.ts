import { Controller, Get, Module } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ApiOkResponse } from '@nestjs/swagger';
import { z } from 'zod';

import { loadConfig } from './config.js';
import { HealthRegistry } from './health.js';
import { createHttpApp } from './http-app.js';

const Thing = z.strictObject({ id: z.uuid(), size: z.int().min(1).nullable() }).meta({ id: 'Thing' });

@Controller('things')
class ThingsController {
  @Get()
  @ApiOkResponse({ standardSchema: Thing })
  get() {
    return {};
  }
}

@Module({ controllers: [ThingsController] })
class ThingsModule {}

async function start(env: Record<string, string> = {}): Promise<NestFastifyApplication> {
  const given = { THINGS_DATABASE_URL: 'postgres://localhost/things', LOG_LEVEL: 'silent', ...env };
  const app = await createHttpApp(ThingsModule, loadConfig('things', { port: 0 }, given), { title: 'Things' });
  return app.init();
}

let app: NestFastifyApplication;
beforeAll(async () => (app = await start()));
afterAll(() => app.close());

describe('health, metrics and documentation', () => {
  it('tell whether the process lives and is ready', async () => {
    expect((await app.inject('/health/live')).json()).toEqual({ status: 'ok' });
    const health = app.get(HealthRegistry);
    health.register('database', () => ({ status: 'down', reason: 'no' }));
    const down = await app.inject('/health/ready');
    expect([down.statusCode, down.json()]).toEqual([
      503,
      { status: 'error', checks: { database: { status: 'down', reason: 'no' } } },
    ]);
    health.register('database', () => ({ status: 'degraded' }));
    expect((await app.inject('/health/ready')).statusCode).toBe(200);
    expect((await app.inject('/health/live')).headers['cache-control']).toBe('no-store');
  });

  it('measure requests by route, without letting a stranger invent labels', async () => {
    await app.inject('/things');
    await app.inject('/invented/123');
    const { body, headers } = await app.inject('/metrics');
    expect(headers['content-type']).toContain('text/plain; version=0.0.4');
    expect(body).toContain('process_cpu_seconds_total');
    expect(body).toMatch(
      /request_duration_seconds_count\{http_request_method="GET",http_route="\/things",http_response_status_code="200"\} \d/,
    );
    expect(body).toContain('http_route="(no route)"');
    expect(body).not.toContain('invented');
  });

  it('document the API as OpenAPI 3.1', async () => {
    const document = (await app.inject('/openapi.json')).json<{ components: { schemas: object }; paths: object }>();
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'Things' } });
    expect(JSON.stringify(document)).not.toContain(String(Number.MAX_SAFE_INTEGER));
    expect(document.components.schemas).toMatchObject({
      Thing: {
        type: 'object',
        properties: {
          id: { type: 'string', format: 'uuid' },
          size: { anyOf: [{ type: 'integer', minimum: 1 }, { type: 'null' }] },
        },
        additionalProperties: false,
      },
      ProblemDetails: { type: 'object' },
    });
    expect(document.paths).toMatchObject({
      '/things': {
        get: {
          responses: {
            200: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } } },
            default: { $ref: '#/components/responses/Problem' },
          },
        },
      },
    });
    const page = await app.inject('/docs');
    expect([page.statusCode, page.body.includes('swagger-ui')]).toEqual([200, true]);
  });

  it('are all that a process without the role api answers', async () => {
    const relay = await start({ ROLES: 'relay,inbox' });
    expect((await relay.inject('/things')).json()).toMatchObject({ status: 503, title: 'Service Unavailable' });
    expect((await relay.inject('/health/ready')).statusCode).toBe(200);
    expect((await relay.inject('/metrics')).statusCode).toBe(200);
    await relay.close();
  });
});
