import { STATUS_CODES } from 'node:http';

import { HttpException } from '@nestjs/common';

/** One thing that is wrong with a request, and where. Exactly one of the places is given, or none. */
export interface ProblemError {
  /** A sentence without subject, for people: `must not be empty`. */
  detail: string;
  /** Place in the body, as JSON Pointer in URI fragment form: `#/lines/0/sku`, `#` for the body as a whole. */
  pointer?: string;
  /** Name of the path or query parameter. */
  parameter?: string;
  /** Name of the header. */
  header?: string;
}

/** The body of every error response (RFC 9457, `application/problem+json`). */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  errors?: ProblemError[];
  correlationId?: string;
  [extension: string]: unknown;
}

/** What a thrower may say about a problem. */
export interface ProblemOptions {
  /** What happened this time, for people. */
  detail?: string;
  errors?: ProblemError[];
  /** URI that identifies the kind of problem; `about:blank` means: the status says it all. */
  type?: string;
  /** Headers of the response, such as `Retry-After`. */
  headers?: Record<string, string>;
  /** Further members of the body, such as `{ available: 3 }`. */
  extensions?: Record<string, unknown>;
  /** What caused it; logged with a 5xx, never sent. */
  cause?: unknown;
}

/** An HTTP error that is answered as problem details. Throw it from anywhere below a controller. */
export class Problem extends HttpException {
  constructor(
    status: number,
    private readonly given: ProblemOptions = {},
  ) {
    super(given.detail ?? titleOf(status), status, { cause: given.cause });
  }

  get headers(): Record<string, string> {
    return this.given.headers ?? {};
  }

  /** The members that do not depend on the request. */
  get details(): ProblemDetails {
    const { type = 'about:blank', detail, errors, extensions } = this.given;
    const status = this.getStatus();
    return {
      ...extensions,
      type,
      title: titleOf(status),
      status,
      ...(detail && { detail }),
      ...(errors && { errors }),
    };
  }
}

const titleOf = (status: number): string => STATUS_CODES[status] ?? 'Error';

/** JSON Pointer in URI fragment form (RFC 6901 §6): `['lines', 0]` → `#/lines/0`. */
export const pointerOf = (path: readonly PropertyKey[]): string =>
  ['#', ...path.map((key) => encodeURIComponent(String(key).replaceAll('~', '~0').replaceAll('/', '~1')))].join('/');

/** `throw problem(422, { detail: 'The lines use two currencies.' })` */
export const problem = (status: number, options?: ProblemOptions): Problem => new Problem(status, options);

/** 400: the request itself is wrong. */
export class BadRequestProblem extends Problem {
  constructor(detail: string, options?: ProblemOptions) {
    super(400, { detail, ...options });
  }
}

/** 404: there is no such thing. */
export class NotFoundProblem extends Problem {
  constructor(detail: string, options?: ProblemOptions) {
    super(404, { detail, ...options });
  }
}

/** 409: right in itself, but not in the present state. */
export class ConflictProblem extends Problem {
  constructor(detail: string, options?: ProblemOptions) {
    super(409, { detail, ...options });
  }
}

/** 412: the thing has changed since the version that `If-Match` names. */
export class PreconditionFailedProblem extends Problem {
  constructor(detail: string, options?: ProblemOptions) {
    super(412, { detail, ...options });
  }
}

/** 422: well-formed, but it can never be done. */
export class UnprocessableProblem extends Problem {
  constructor(detail: string, options?: ProblemOptions) {
    super(422, { detail, ...options });
  }
}

/** 503: cannot be done right now; the same request may be repeated after `Retry-After` (2 s). */
export class ServiceUnavailableProblem extends Problem {
  constructor(detail: string, options?: ProblemOptions) {
    super(503, { detail, ...options, headers: { 'retry-after': '2', ...options?.headers } });
  }
}
