// Every request runs in a context of its own, is logged and counted; what still runs is known, so that shutdown can say it.
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

import { runInContext } from '@app/context';
import { Injectable, Logger } from '@nestjs/common';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

import { pathOf } from './problem-filter.js';
import { problem } from './problem.js';

const correlationIdHeader = /^[\w.-]{1,128}$/;
const traceparentHeader =
  /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:$|(?<!^00.{53})-)/;

/** The caller's `x-correlation-id` if it is harmless (1–128 of `A-Za-z0-9._-`), else its trace id, else a new UUID. */
export function correlationIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-correlation-id'];
  if (typeof given === 'string' && correlationIdHeader.test(given)) return given;
  return traceparentOf(headers)?.slice(3, 35) ?? randomUUID();
}

/**
 * The caller's W3C trace context, if it is valid, without what versions that we do not know may have behind it: it goes into
 * every event of this request. Rule: https://www.w3.org/TR/trace-context/#versioning-of-traceparent
 */
export function traceparentOf(headers: IncomingHttpHeaders): string | undefined {
  const given = headers.traceparent;
  return typeof given === 'string' && traceparentHeader.test(given) ? given.slice(0, 55) : undefined;
}

/** For `FastifyAdapter.setOnRequestHook`: everything that follows, handlers included, runs in the context of the request. */
export function enterContext(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  void reply.header('x-correlation-id', request.id);
  const traceparent = traceparentOf(request.headers);
  runInContext({ correlationId: request.id, ...(traceparent && { traceparent }) }, done);
}

const logger = new Logger('Http');
const operational = /^\/(?:health|metrics|docs|ops)(?:\/|$)|^\/openapi\.json$/;

/** One line per finished request; probes, scrapes and documentation only at `debug`. */
export function logRequests(fastify: FastifyInstance): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    const { method, id } = request;
    const path = pathOf(request);
    const ms = Math.round(reply.elapsedTime);
    const line = `${method} ${path} ${reply.statusCode} ${ms} ms`;
    // The hook is called from the socket, outside of the request's context.
    runInContext({ correlationId: id }, () => {
      const http = { method, path, route: request.routeOptions.url, status: reply.statusCode, ms };
      if (operational.test(path)) logger.debug(line, { http });
      else logger.log(line, { http });
    });
    done();
  });
}

/** In a process without the role `api` only health, metrics and documentation answer. */
export function refuseApi(fastify: FastifyInstance): void {
  fastify.addHook('onRequest', (request, _reply, done) => {
    if (operational.test(pathOf(request))) done();
    else done(problem(503, { detail: 'This process does not serve the API: its ROLES do not include "api".' }));
  });
}

/** The requests that have begun and not ended; shutdown waits for them, and names them if it gives up. */
@Injectable()
export class RunningRequests {
  private readonly requests = new Set<FastifyRequest>();

  /** Such as `POST /users`. */
  list(): string[] {
    return [...this.requests].map((request) => `${request.method} ${pathOf(request)}`);
  }

  /** Counts the requests of this server from now on. */
  track(fastify: FastifyInstance): void {
    fastify.addHook('onRequest', (request, reply, done) => {
      this.requests.add(request);
      // Not `onResponse`, which does not come when the client has gone.
      reply.raw.once('close', () => this.requests.delete(request));
      done();
    });
  }
}
