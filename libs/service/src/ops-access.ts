// Who may operate the service: callers on this machine who know the token. Without a token nobody.
import { createHash, timingSafeEqual } from 'node:crypto';
import {
  createParamDecorator,
  Injectable,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { operations } from '@app/messaging';
import type { FastifyRequest } from 'fastify';
import { catchError, throwError, type Observable } from 'rxjs';
import { ServiceConfig } from './config.js';
import { problem } from './problem.js';

const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/;
/** Set by proxies, whose own address says nothing about the caller's. */
const PROXIED = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'];
const OPERATOR = /^[\w.@ -]{1,64}$/;

@Injectable()
export class OpsGuard implements CanActivate {
  constructor(private readonly config: ServiceConfig) {}

  canActivate(context: ExecutionContext): boolean {
    const { headers, socket } = context.switchToHttp().getRequest<FastifyRequest>();
    const { opsToken } = this.config;
    if (opsToken === undefined) {
      throw problem(404, {
        detail: 'Operating over HTTP is off. Set OPS_TOKEN to a secret of at least 16 characters.',
      });
    }
    if (!LOOPBACK.test(socket.remoteAddress ?? '') || PROXIED.some((name) => headers[name] !== undefined)) {
      throw problem(403, {
        detail: 'Operating over HTTP is possible only from this machine, and not through a proxy.',
      });
    }
    if (isSame(headers.authorization ?? '', `Bearer ${opsToken}`)) return true;
    throw problem(401, {
      detail: 'The token is missing or wrong: Authorization: Bearer <OPS_TOKEN>.',
      headers: { 'www-authenticate': 'Bearer' },
    });
  }
}

/** In a time that does not depend on how much is right. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** What an operation refuses becomes a problem that says why. */
@Injectable()
export class OpsErrors implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(catchError((error: unknown) => throwError(() => asProblem(error))));
  }
}

const STATUS = { 'not-found': 404, conflict: 409, invalid: 400 };

export const asProblem = (error: unknown): unknown =>
  error instanceof operations.OperationError ? problem(STATUS[error.kind], { detail: error.message }) : error;

/** The caller as the audit knows it; `x-operator` says who it is. */
export const Caller = createParamDecorator((_: unknown, context: ExecutionContext): string => {
  const { headers, ip } = context.switchToHttp().getRequest<FastifyRequest>();
  const name = headers['x-operator'];
  if (name === undefined) return `http ${ip}`;
  if (typeof name === 'string' && OPERATOR.test(name)) return `${name} (http ${ip})`;
  throw problem(400, { errors: [{ detail: 'must be 1–64 letters, digits or any of . @ _ -', header: 'x-operator' }] });
});
