// A request with an `Idempotency-Key` acts once, however often it is sent: the answer is stored in the transaction of the
// command. A crash leaves both or neither, so the client may repeat it until it is answered.
import { Database, type OpenTransaction } from '@app/database';
import {
  applyDecorators,
  Injectable,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { ApiHeader } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { BadRequestProblem, ConflictProblem, UnprocessableProblem } from './problem.js';

const HEADER = 'Idempotency-Key';

/** What tells whether two requests are the same. */
interface Asked {
  route: string;
  key: string;
  request: string;
}

interface Answer {
  status: number;
  location: string | null;
  body: unknown;
}

@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(private readonly database: Database) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    if (request.headers['idempotency-key'] === undefined) return next.handle();
    return from(this.once(asked(request), http.getResponse<FastifyReply>(), () => lastValueFrom(next.handle())));
  }

  private async once(asked: Asked, reply: FastifyReply, command: () => Promise<unknown>): Promise<unknown> {
    try {
      return await this.database.transaction(async (tx) => {
        await lock(tx, asked);
        const stored = await find(tx, asked);
        if (stored) {
          void reply.code(stored.status);
          if (stored.location !== null) void reply.header('location', stored.location);
          return stored.body ?? undefined; // which is sent as no body at all
        }
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

/**
 * Honours the header `Idempotency-Key` (1–255 printable ASCII characters, else 400): the same key with the same request is
 * answered as the first time – status, body, `Location` – for 24 h; with another request 422; while the first one runs 409.
 * What fails is not stored. Without the header nothing changes.
 *
 * The handler runs inside a transaction, which `database.transaction` joins; it must not read through `database.read`, which
 * would take a second connection.
 */
export const Idempotent = () =>
  applyDecorators(
    UseInterceptors(IdempotencyInterceptor),
    ApiHeader({
      name: HEADER,
      required: false,
      description:
        'Makes it safe to send the request again: it acts once, and the same key gets the same answer for 24 hours. ' +
        '422 if the request is another one, 409 while the first one is still running.',
      schema: { type: 'string', minLength: 1, maxLength: 255 },
    }),
  );

function asked({ headers, method, routeOptions, params, body }: FastifyRequest): Asked {
  const key = headers['idempotency-key'];
  if (typeof key !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(key)) {
    const errors = [{ detail: 'must have 1 to 255 printable ASCII characters', header: HEADER }];
    throw new BadRequestProblem('The request is not valid.', { errors });
  }
  return { route: `${method} ${routeOptions.url}`, key, request: JSON.stringify([params, body ?? null]) };
}

/** Held until the end of the transaction. A statement of its own: whoever gets the lock must see what the last holder stored. */
async function lock(tx: OpenTransaction, { route, key }: Asked): Promise<void> {
  const { rows } = await tx.query<{ locked: boolean }>(
    'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked',
    [`${HEADER} ${route} ${key}`],
  );
  if (rows[0]?.locked) return;
  throw new ConflictProblem(`A request with this ${HEADER} is still running.`, { headers: { 'retry-after': '1' } });
}

// As jsonb, so that the order of properties does not make another request.
const FINGERPRINT = `sha256(convert_to($3::jsonb::text, 'UTF8'))`;

async function find(tx: OpenTransaction, { route, key, request }: Asked): Promise<Answer | undefined> {
  const { rows } = await tx.query<Answer & { same: boolean }>(
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
async function keep(tx: OpenTransaction, { route, key, request }: Asked, answer: Answer): Promise<void> {
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
