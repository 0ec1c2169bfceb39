import type { IncomingMessage } from 'node:http';

import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { answerClientError } from './client-error.js';
import { ServiceConfig } from './config.js';
import { HealthModule } from './health.js';
import { acceptJsonOnly } from './json-body.js';
import { createLogger } from './logging.js';
import { MetricsModule, measureRequests } from './metrics.js';
import { serveDocumentation, type About } from './openapi.js';
import { ProblemFilter, sendProblem } from './problem-filter.js';
import { problemOf } from './problem-of.js';
import { RunningRequests, correlationIdOf, enterContext, logRequests, refuseApi } from './request.js';
import { SchemaValidationPipe } from './validation.js';

/** The largest body that is read; more is a 413. */
export const BODY_LIMIT = 102_400;

/**
 * An app that speaks problem details, knows its health and measures itself, around `rootModule`. `ServiceConfig` and
 * `HealthRegistry` can be injected everywhere. It is neither initialised nor listening.
 */
export async function createHttpApp(
  rootModule: Type | DynamicModule,
  config: ServiceConfig,
  about: About,
): Promise<NestFastifyApplication> {
  const adapter = new FastifyAdapter({
    bodyLimit: BODY_LIMIT,
    trustProxy: false,
    genReqId: ({ headers }: IncomingMessage) => correlationIdOf(headers),
    // Longer than the idle time-out of common load balancers (60 s), so that it is they who close.
    keepAliveTimeout: 65_000,
    requestTimeout: 30_000,
    clientErrorHandler: answerClientError,
    frameworkErrors: (error: Error, request: FastifyRequest, reply: FastifyReply) =>
      sendProblem(problemOf(error), request, reply),
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  const methodsAt = rememberRoutes(fastify);
  acceptJsonOnly(fastify);
  adapter.setOnRequestHook((request, reply, done) => enterContext(request, reply, done));
  endConnectionsWhenClosing(fastify);
  if (!config.roles.has('api')) refuseApi(fastify);
  const runningRequests = new RunningRequests();
  runningRequests.track(fastify);
  logRequests(fastify);
  measureRequests(fastify);

  const app = await NestFactory.create<NestFastifyApplication>(
    serviceModule(rootModule, config, runningRequests),
    adapter,
    {
      logger: createLogger(config),
      abortOnError: false,
      bodyParser: false,
    },
  );
  app.useGlobalPipes(new SchemaValidationPipe());
  app.useGlobalFilters(new ProblemFilter(methodsAt));
  serveDocumentation(app, about);
  return app;
}

@Module({})
class ServiceModule {}

const serviceModule = (
  rootModule: Type | DynamicModule,
  config: ServiceConfig,
  runningRequests: RunningRequests,
): DynamicModule => ({
  module: ServiceModule,
  global: true,
  imports: [HealthModule, MetricsModule, rootModule],
  providers: [
    { provide: ServiceConfig, useValue: config },
    { provide: RunningRequests, useValue: runningRequests },
  ],
  exports: [ServiceConfig],
});

/** Keeps the routes, because Fastify's router does not tell which other methods a path has. */
function rememberRoutes(fastify: FastifyInstance): (path: string) => string[] {
  const routes: { pattern: RegExp; methods: string[] }[] = [];
  fastify.addHook('onRoute', ({ url, method }) => {
    const source = url
      .replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll(/:[^/]+/g, '[^/]+')
      .replaceAll('*', '.*');
    routes.push({ pattern: new RegExp(`^${source}$`), methods: [method].flat() });
  });
  return (path) => {
    const methods = routes.filter(({ pattern }) => pattern.test(path)).flatMap((route) => route.methods);
    return [...new Set(methods)].sort();
  };
}

/** A keep-alive connection whose last request ends during shutdown would otherwise hold the server for its idle time-out. */
function endConnectionsWhenClosing(fastify: FastifyInstance): void {
  let closing = false;
  fastify.addHook('preClose', (done) => {
    closing = true;
    done();
  });
  fastify.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) void reply.header('connection', 'close');
    done();
  });
}
