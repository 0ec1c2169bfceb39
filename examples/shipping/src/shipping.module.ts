import { BackboneModule } from '@app/service';
import { Module } from '@nestjs/common';
import { GetShipmentController } from './get-shipment/get-shipment.controller.js';
import { GetShipmentHandler } from './get-shipment/get-shipment.handler.js';
import { PrepareShipmentOnOrderConfirmed } from './prepare-shipment-on-order-confirmed/prepare-shipment-on-order-confirmed.handler.js';
import { SubscriptionsController } from './subscriptions.controller.js';

@Module({
  imports: [BackboneModule],
  controllers: [SubscriptionsController, GetShipmentController],
  providers: [GetShipmentHandler, PrepareShipmentOnOrderConfirmed],
})
export class ShippingModule {}
