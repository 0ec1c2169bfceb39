import { sku } from '@app/contracts';
import { ApiProblems, Idempotency, IdempotencyKey, type KeyedRequest } from '@app/service';
import { Body, Controller, HttpCode, Post, Res } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { ApiAcceptedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { MAX_LINES, MAX_QUANTITY } from '../money.js';
import { orderView } from '../order-view.js';
import { PlaceOrder } from './place-order.handler.js';

const line = z.strictObject({
  sku: sku.meta({ example: 'teapot' }),
  quantity: z.int().min(1).max(MAX_QUANTITY).meta({ example: 2 }),
});

export const orderRequest = z
  .strictObject({
    userId: z.uuid().toLowerCase().meta({ example: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11' }),
    lines: z.array(line).min(1).max(MAX_LINES).superRefine(refuseTwins),
  })
  .meta({ id: 'OrderRequest' });

@ApiTags('orders')
@Controller('orders')
export class PlaceOrderController {
  constructor(
    private readonly commands: CommandBus,
    private readonly idempotency: Idempotency,
  ) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({ summary: 'Order; stock is reserved and the payment asked for as soon as the customer is known here' })
  @ApiProblems({
    409: 'Out of stock, or a request with this Idempotency-Key is still running.',
    422: 'Unknown products, mixed currencies, a closed account, or an Idempotency-Key that was used for another request.',
  })
  @ApiAcceptedResponse({
    description: 'Taken in.',
    headers: { Location: { description: 'What becomes of it.', schema: { type: 'string', example: '/orders/…' } } },
    standardSchema: orderView,
  })
  place(
    @Body({ schema: orderRequest }) { userId, lines }: z.infer<typeof orderRequest>,
    @IdempotencyKey() key: KeyedRequest | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.idempotency.once(key, reply, async () => {
      const order = await this.commands.execute(new PlaceOrder(userId, lines));
      void reply.header('location', `/orders/${order.id}`);
      return order;
    });
  }
}

/** A product that stands there twice is more likely a mistake than a wish. */
function refuseTwins(lines: { sku: string }[], context: z.RefinementCtx): void {
  lines.forEach(({ sku }, index) => {
    if (lines.findIndex((other) => other.sku === sku) === index) return;
    context.addIssue({ code: 'custom', path: [index, 'sku'], message: `${sku} has a line already` });
  });
}
