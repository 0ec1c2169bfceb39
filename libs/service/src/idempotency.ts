// A request with an `Idempotency-Key` acts once, however often it is sent: the answer is stored in the transaction of the
// command. A crash leaves both or neither, so the client may repeat it until it is answered.
import { Database, type OpenTransaction } from '@app/database';
import { createParamDecorator, Injectable, type ExecutionContext } from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BadRequestProblem, ConflictProblem, UnprocessableProblem } from './problem.js';

const HEADER = 'Idempotency-Key';

/** A request that must not act twice: its key, and what tells whether another one is the same. */
export interface KeyedRequest {
  route: string;
  key: string;
  request: string;
}

interface Answer<Body> {
  status: number;
  location: string | null;
  body: Body;
}

/**
 * The header `Idempotency-Key` as a parameter of a controller: `@IdempotencyKey() key: KeyedRequest | undefined`, for
 * {@link Idempotency.once}. 400 if it does not have 1–255 printable ASCII characters.
 */
export const IdempotencyKey = createParamDecorator(
  (_: unknown, context: ExecutionContext): KeyedRequest | undefined =>
    keyed(context.switchToHttp().getRequest<FastifyRequest>()),
  [documented],
);

@Injectable()
export class Idempotency {
  constructor(private readonly database: Database) {}

  /**
   * Answers as `command` does. The same key with the same request is answered as the first time – status, `Location`, body –
   * for 24 h, and `command` does not run. What fails is not stored. Without a key it is just `command()`.
   *
   * `command` runs in a transaction, which `database.transaction` joins, and again after a deadlock. It must not read through
   * `database.read`, which would take a second connection.
   *
   * @throws UnprocessableProblem (422) if the key was used for another request
   * @throws ConflictProblem (409) while the first request is running
   */
  async once<Body>(
    asked: KeyedRequest | undefined,
    reply: FastifyReply,
    command: () => Promise<Body>,
  ): Promise<Body | undefined> {
    // An interceptor would cost every request 60 µs of CPU, which is half of what a small one costs.
    if (asked === undefined) return command();
    try {
      return await this.database.transaction(async (tx) => {
        await lock(tx, asked);
        const stored = await find<Body>(tx, asked);
        if (stored) return replay(stored, reply);
        const body = await command();
        await keep(tx, asked, { status: reply.statusCode, location: reply.getHeader('location') as string, body });
        return body;
      });
    } catch (error) {
      reply.removeHeader('location'); // of something that was not committed
      throw error;
    }
  }
}

function keyed({ headers, method, routeOptions, params, body }: FastifyRequest): KeyedRequest | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(key)) {
    const errors = [{ detail: 'must have 1 to 255 printable ASCII characters', header: HEADER }];
    throw new BadRequestProblem('The request is not valid.', { errors });
  }
  return { route: `${method} ${routeOptions.url}`, key, request: JSON.stringify([params, body ?? null]) };
}

function replay<Body>({ status, location, body }: Answer<Body>, reply: FastifyReply): Body | undefined {
  void reply.code(status);
  if (location !== null) void reply.header('location', location);
  return body ?? undefined; // which is sent as no body at all
}

/** Held until the end of the transaction. A statement of its own: whoever gets the lock must see what the last holder stored. */
async function lock(tx: OpenTransaction, { route, key }: KeyedRequest): Promise<void> {
  const { rows } = await tx.query<{ locked: boolean }>(
    'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked',
    [`${HEADER} ${route} ${key}`],
  );
  if (rows[0]?.locked) return;
  throw new ConflictProblem(`A request with this ${HEADER} is still running.`, { headers: { 'retry-after': '1' } });
}

// As jsonb, so that the order of properties does not make another request.
const FINGERPRINT = `sha256(convert_to($3::jsonb::text, 'UTF8'))`;

async function find<Body>(
  tx: OpenTransaction,
  { route, key, request }: KeyedRequest,
): Promise<Answer<Body> | undefined> {
  const { rows } = await tx.query<Answer<Body> & { same: boolean }>(
    `select request = ${FINGERPRINT} as same, status, location, body from http.idempotency_keys
     where route = $1 and key = $2 and answered_at > now() - interval '24 hours'`,
    [route, key, request],
  );
  if (rows[0] && !rows[0].same) {
    const errors = [{ detail: 'was used for another request', header: HEADER }];
    throw new UnprocessableProblem(`This ${HEADER} was used for another request.`, { errors });
  }
  return rows[0];
}

/** Each new answer takes up to ten that have expired with it: the table stays as large as a day's requests. */
async function keep(
  tx: OpenTransaction,
  { route, key, request }: KeyedRequest,
  answer: Answer<unknown>,
): Promise<void> {
  await tx.query(
    `with expired as (
       select route, key from http.idempotency_keys
       where answered_at <= now() - interval '24 hours' and (route, key) <> ($1, $2)
       order by answered_at limit 10 for update skip locked),
     pruned as (delete from http.idempotency_keys where (route, key) in (select route, key from expired))
     insert into http.idempotency_keys (route, key, request, status, location, body)
     values ($1, $2, ${FINGERPRINT}, $4, $5, $6)
     on conflict (route, key) do update set request = excluded.request, status = excluded.status,
       location = excluded.location, body = excluded.body, answered_at = excluded.answered_at`,
    [route, key, request, answer.status, answer.location, JSON.stringify(answer.body)],
  );
}

function documented(target: object, method: string | symbol | undefined): void {
  if (method === undefined) return;
  ApiHeader({
    name: HEADER,
    required: false,
    description:
      'Makes it safe to send the request again: it acts once, and the same key gets the same answer for 24 hours. ' +
      '422 if the request is another one, 409 while the first one is still running.',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  })(target, method, Object.getOwnPropertyDescriptor(target, method)!);
}
