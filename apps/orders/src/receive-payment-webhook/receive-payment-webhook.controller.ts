import { currency } from '@app/contracts';
import { ApiProblems, BadRequestProblem } from '@app/service';
import { Body, Controller, Headers, HttpCode, Post, UseGuards } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiHeader, ApiNoContentResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { ReceivePaymentWebhook } from './receive-payment-webhook.handler.js';
import { WebhookSignature } from './webhook-signature.js';

/** What the provider reports, in the terms of Standard Webhooks. Fields that are new to us do no harm. */
export const paymentWebhook = z
  .object({
    type: z.enum(['payment.completed', 'payment.failed', 'payment.refunded']),
    timestamp: z.iso.datetime().meta({ example: '2026-01-31T12:00:00.000Z' }),
    data: z.object({
      paymentId: z.uuid().toLowerCase().meta({ example: '0199d2c5-2a77-7d10-9b3e-c4f1a8d6e053' }),
      reference: z.string().min(1).max(200).meta({ example: 'pay_7Qm2' }),
      amountMinor: z.int().min(0).meta({ example: 2_375 }),
      currency: currency.meta({ example: 'EUR' }),
      reason: z.string().max(200).optional(),
    }),
  })
  .meta({ id: 'PaymentWebhook' });

@ApiTags('payments')
@Controller('webhooks/payments')
export class ReceivePaymentWebhookController {
  constructor(private readonly commands: CommandBus) {}

  @Post()
  @HttpCode(204)
  @UseGuards(WebhookSignature)
  @ApiOperation({ summary: 'For the payment provider: what has become of a payment (Standard Webhooks)' })
  @ApiProblems({ 401: 'The signature is wrong.', 404: 'There is no such payment (yet): try again later.' })
  @ApiHeader({ name: 'webhook-id', required: true, description: 'Each counts once.', example: 'msg_2Kfx' })
  @ApiHeader({ name: 'webhook-timestamp', required: true, description: 'In seconds.', example: '1769860800' })
  @ApiHeader({ name: 'webhook-signature', required: true, example: 'v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=' })
  @ApiNoContentResponse({ description: 'Taken in, now or before.' })
  async receive(
    @Headers('webhook-id') id: string,
    @Body({ schema: paymentWebhook }) { type, data }: z.infer<typeof paymentWebhook>,
  ): Promise<void> {
    if (id.length > 200) throw new BadRequestProblem('The webhook-id has more than 200 characters.');
    const outcome = type.replace('payment.', '') as 'completed' | 'failed' | 'refunded';
    await this.commands.execute(new ReceivePaymentWebhook(id, { ...data, outcome }));
  }
}
