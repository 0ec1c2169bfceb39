// Whatever is thrown becomes a problem that says what the client can do about it, and never what is inside.
import { isContention, isDatabaseUnavailable } from '@app/database';
import { HttpException } from '@nestjs/common';

import { BadRequestProblem, Problem, ServiceUnavailableProblem, problem, type ProblemOptions } from './problem.js';

/** The problem that a thrown value is answered with. Everything unknown is a 500 without details, with the value as `cause`. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  if (thrown instanceof HttpException) return fromHttpException(thrown);
  // Before the database: a client that hangs up is an ECONNRESET, too, but with a 400.
  const status = statusOf(thrown);
  if (status !== undefined) {
    const refusal = refusalOf(thrown) ?? { detail: (thrown as Error).message };
    return problem(status, { ...refusal, cause: thrown });
  }
  if (errorsOf(thrown).some(isUnavailable)) {
    return new ServiceUnavailableProblem('The database cannot be reached or is overloaded.', { cause: thrown });
  }
  if (errorsOf(thrown).some(({ code }) => typeof code === 'string' && unstorable.has(code))) {
    return new BadRequestProblem('The request contains text that cannot be stored.', { cause: thrown });
  }
  return internal(500, thrown);
}

const internal = (status: number, cause: unknown): Problem =>
  problem(status, { detail: 'Something went wrong on our side; the correlation id finds it in the logs.', cause });

// What the framework refuses before a controller is asked, in words for the person who sent it.
const refusals: Record<string, ProblemOptions> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: { detail: 'The body must be JSON, sent with Content-Type: application/json.' },
  FST_ERR_CTP_BODY_TOO_LARGE: { detail: 'The body is larger than 100 kB.' },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: { detail: 'The body is not as long as Content-Length says.' },
  FST_ERR_BAD_URL: { detail: 'The path is not a valid URL path.' },
  FST_ERR_MAX_PARAM_LENGTH: { detail: 'A part of the path is too long.' },
};

function refusalOf(error: unknown): ProblemOptions | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? refusals[code] : undefined;
}

function fromHttpException(exception: HttpException): Problem {
  const status = exception.getStatus();
  const refusal = refusalOf(exception.cause);
  if (refusal !== undefined) return problem(status, { ...refusal, cause: exception.cause });
  // Nest's own 5xx exceptions often carry the message of an inner error; a `Problem` says what it means to say.
  if (status >= 500) return internal(status, exception);
  const response = exception.getResponse();
  const message: unknown = typeof response === 'string' ? response : (response as { message?: unknown }).message;
  // Several messages are what Nest's own pipes throw.
  if (Array.isArray(message)) return problem(status, { errors: message.map((detail) => ({ detail: String(detail) })) });
  return problem(status, { detail: typeof message === 'string' ? message : undefined, cause: exception.cause });
}

/** Errors of Fastify and of `http-errors` carry the status; a 5xx of theirs is our fault and stays unknown. */
function statusOf(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('statusCode' in thrown)) return undefined;
  const status = thrown.statusCode;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined;
}

// SQLSTATE 22021 and 22P05: NUL or an unpaired surrogate that got past the checks at the door.
const unstorable = new Set(['22021', '22P05']);

/** The database or the way to it failed, or it was too busy to let this statement through; 25006: a replica after a failover. */
const isUnavailable = (error: { code?: unknown }): boolean =>
  isDatabaseUnavailable(error) || isContention(error) || error.code === '25006';

/** The error, its causes and, for an `AggregateError` (what Node throws for a host with several addresses), its parts. */
function errorsOf(thrown: unknown, depth = 0): { code?: unknown; message?: unknown }[] {
  if (typeof thrown !== 'object' || thrown === null || depth > 5) return [];
  const { cause, errors } = thrown as { cause?: unknown; errors?: unknown };
  const parts: unknown[] = Array.isArray(errors) ? errors : [];
  return [thrown, ...[cause, ...parts].flatMap((part) => errorsOf(part, depth + 1))];
}
