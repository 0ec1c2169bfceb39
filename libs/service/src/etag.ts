// Versions over HTTP (RFC 9110 §8.8, §13.1.1): nobody overwrites what they have not seen.
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { BadRequestProblem, PreconditionFailedProblem } from './problem.js';

const HEADER = 'If-Match';

/** The strong entity tag of a version, for the header `ETag`: `"7"`. */
export const etagOf = (version: number): string => `"${version}"`;

/** For the documentation of an answer with an `ETag`: `@ApiOkResponse({ headers: etagHeader })`. */
export const etagHeader = {
  ETag: { description: 'The version, for `If-Match`.', schema: { type: 'string' as const, example: etagOf(1) } },
};

/** The entity tags that a client would change; `undefined`: whatever is there. */
export type Precondition = readonly string[] | undefined;

/**
 * The header `If-Match` as a parameter of a controller: `@IfMatch() ifMatch: Precondition`. 400 if it is malformed.
 * Check it with {@link requireMatch} where the row is locked.
 */
export const IfMatch = createParamDecorator(
  (_: unknown, context: ExecutionContext): Precondition =>
    parseIfMatch(context.switchToHttp().getRequest<FastifyRequest>().headers['if-match']),
  [documented],
);

/**
 * @throws PreconditionFailedProblem (412, with the present `ETag`) if the client has seen another version. Weak tags never match.
 */
export function requireMatch(precondition: Precondition, version: number): void {
  const etag = etagOf(version);
  if (precondition === undefined || precondition.includes(etag)) return;
  throw new PreconditionFailedProblem(`It has changed since; its version is ${etag} now.`, {
    errors: [{ detail: 'does not name the present version', header: HEADER }],
    headers: { etag },
  });
}

const TAG = String.raw`(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"`;
const LIST = new RegExp(String.raw`^[ \t,]*${TAG}(?:[ \t]*,[ \t,]*${TAG})*[ \t,]*$`);

/** The entity tags of a header `If-Match`. @throws BadRequestProblem if it is malformed */
export function parseIfMatch(header: string | undefined): Precondition {
  if (header === undefined || header === '*') return undefined;
  if (LIST.test(header)) return header.match(new RegExp(TAG, 'g')) ?? [];
  const errors = [{ detail: 'must be * or a list of entity tags such as "7"', header: HEADER }];
  throw new BadRequestProblem('The request is not valid.', { errors });
}

function documented(target: object, method: string | symbol | undefined): void {
  if (method === undefined) return;
  ApiHeader({
    name: HEADER,
    required: false,
    description: 'The `ETag` of the version that is to be changed; 412 if it has changed since.',
    schema: { type: 'string' },
  })(target, method, Object.getOwnPropertyDescriptor(target, method)!);
}
