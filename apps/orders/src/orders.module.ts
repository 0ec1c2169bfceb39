import { BackboneModule } from '@app/service';
import { Module } from '@nestjs/common';
import { GetCustomerController } from './get-customer/get-customer.controller.js';
import { GetCustomerHandler } from './get-customer/get-customer.handler.js';
import { OpenCustomerOnUserRegistered } from './open-customer-on-user-registered/open-customer-on-user-registered.handler.js';
import { SubscriptionsController } from './subscriptions.controller.js';

@Module({
  imports: [BackboneModule],
  controllers: [SubscriptionsController, GetCustomerController],
  providers: [GetCustomerHandler, OpenCustomerOnUserRegistered],
})
export class OrdersModule {}
