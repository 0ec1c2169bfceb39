import type { LeavesEventsAlone } from '@app/messaging';
import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';

import { problemOf } from './problem-of.js';
import { problem, type Problem } from './problem.js';

/** Answers every error of an HTTP request as problem details. Errors of message handlers pass through untouched. */
@Catch()
export class ProblemFilter implements ExceptionFilter, LeavesEventsAlone {
  readonly leavesEventsAlone = true;

  /** `methodsAt` tells which methods a path has, which makes a 405 out of a 404. */
  constructor(private readonly methodsAt: (path: string) => string[]) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    if (host.getType() !== 'http') throw thrown;
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    sendProblem(request.is404 ? this.notFound(request) : problemOf(thrown), request, reply);
  }

  private notFound(request: FastifyRequest): Problem {
    const methods = this.methodsAt(pathOf(request));
    // A known method without an answer: a path inside a wildcard, such as a missing file of the documentation.
    if (methods.length === 0 || methods.includes(request.method))
      return problem(404, { detail: `There is nothing at ${pathOf(request)}.` });
    const allow = methods.join(', ');
    return problem(405, { detail: `${request.method} is not possible here, only ${allow}.`, headers: { allow } });
  }
}

const logger = new Logger('Problem');

/** Writes the response; a 5xx is logged with its cause, because the response does not tell it. */
export function sendProblem(failure: Problem, request: FastifyRequest, reply: FastifyReply): void {
  const status = failure.getStatus();
  if (status < 500) {
    logger.debug(
      `${request.method} ${pathOf(request)} refused: ${failure.message} ${JSON.stringify(failure.details.errors ?? [])}`,
    );
  } else {
    const what = `${request.method} ${pathOf(request)}`;
    const { cause } = failure;
    // An unreachable database is one line per request; a stack would say nothing that the message does not.
    if (status === 503) logger.warn(`${what}: ${[failure.message, ...messageOf(cause)].join(' ')}`);
    else logger.error(`${what} failed`, cause instanceof Error ? cause : (cause ?? failure));
  }
  if (reply.sent || reply.raw.headersSent) {
    // Half a response is out; only breaking it off tells the client that it is not whole.
    reply.raw.destroy();
    return;
  }
  void reply
    .code(status)
    .headers({ ...failure.headers, 'x-correlation-id': request.id })
    .header('content-type', 'application/problem+json')
    .header('cache-control', 'no-store')
    .serializer((body: unknown) => JSON.stringify(body))
    .send({ ...failure.details, instance: pathOf(request), correlationId: request.id });
}

/** The path without the query, which may hold secrets or personal data. */
export const pathOf = (request: FastifyRequest): string => request.url.split('?', 1)[0] ?? '/';

const messageOf = (cause: unknown): string[] => (cause instanceof Error ? [cause.message || cause.name] : []);
