import { problem } from '@app/service';
import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { OrdersConfig } from '../config.js';

/** Lets only those in who know the secret (Standard Webhooks), and nothing older than five minutes. Before the body is looked at. */
@Injectable()
export class WebhookSignature implements CanActivate {
  readonly #webhook: Webhook;

  constructor({ paymentWebhookSecret }: OrdersConfig) {
    this.#webhook = new Webhook(paymentWebhookSecret);
  }

  canActivate(context: ExecutionContext): boolean {
    const { headers, rawBody } = context.switchToHttp().getRequest<FastifyRequest & { rawBody?: Buffer }>();
    try {
      this.#webhook.verify(rawBody ?? '', headers as Record<string, string>, { jsonParse: false });
      return true;
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      throw problem(401, { detail: `The signature is not valid: ${error.message}.` });
    }
  }
}
