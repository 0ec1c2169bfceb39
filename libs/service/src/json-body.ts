// Bodies are UTF-8 JSON and hold only text that Postgres can store; everything else is refused at the door with a reason.
import type { FastifyInstance, FastifyRequest } from 'fastify';

import { BadRequestProblem, pointerOf, problem } from './problem.js';
import { unsafeText } from './unsafe-text.js';

/** Accepts `application/json` and `application/…+json`; keeps the bytes as `request.rawBody` for signatures. Others are a 415. */
export function acceptJsonOnly(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(
    /^application\/(?:[\w.-]+\+)?json(?:\s*;|\s*$)/i,
    { parseAs: 'buffer' },
    (request, body, done) => {
      try {
        const bytes = body as Buffer;
        (request as FastifyRequest & { rawBody?: Buffer }).rawBody = bytes;
        done(null, parseBody(bytes, request.headers));
      } catch (error) {
        done(error as Error);
      }
    },
  );
}

function parseBody(bytes: Buffer, headers: FastifyRequest['headers']): unknown {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  if (!/^(utf-?8|us-ascii)$/i.test(charset)) throw problem(415, { detail: `The body must be UTF-8, not ${charset}.` });
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw problem(415, { detail: 'The body must not be compressed.' });
  if (bytes.length === 0) throw new BadRequestProblem('The body is empty, but Content-Type says that it is JSON.');
  const body = parseJson(bytes);
  const unsafe = unsafeText(body);
  if (unsafe !== undefined) {
    const errors = [{ detail: unsafe.detail, pointer: pointerOf(unsafe.path) }];
    throw new BadRequestProblem('The request is not valid.', { errors });
  }
  return body;
}

function parseJson(bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new BadRequestProblem('The body is not valid UTF-8.');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8 adds an excerpt of the body, which may hold personal data, and says again that it is not valid JSON.
    const reason = (error as Error).message.replace(/, (?:\.\.\.)?".*$/s, '');
    throw new BadRequestProblem(`The body is not valid JSON: ${reason}.`);
  }
}
