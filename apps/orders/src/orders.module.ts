import { BackboneModule, ServiceConfig } from '@app/service';
import { Module } from '@nestjs/common';
import { CancelOrderOnOrderDeadlinePassed } from './cancel-order-on-order-deadline-passed/cancel-order-on-order-deadline-passed.handler.js';
import { CancelOrderController } from './cancel-order/cancel-order.controller.js';
import { CancelOrderHandler } from './cancel-order/cancel-order.handler.js';
import { CancelOrdersOnUserDeactivated } from './cancel-orders-on-user-deactivated/cancel-orders-on-user-deactivated.handler.js';
import { ChangeCustomerOnUserProfileChanged } from './change-customer-on-user-profile-changed/change-customer-on-user-profile-changed.handler.js';
import { ChangeDiscountOnUserTierChanged } from './change-discount-on-user-tier-changed/change-discount-on-user-tier-changed.handler.js';
import { OrdersConfig } from './config.js';
import { GetCustomerController } from './get-customer/get-customer.controller.js';
import { GetCustomerHandler } from './get-customer/get-customer.handler.js';
import { GetOrderController } from './get-order/get-order.controller.js';
import { GetOrderHandler } from './get-order/get-order.handler.js';
import { GetProductController } from './get-product/get-product.controller.js';
import { GetProductHandler } from './get-product/get-product.handler.js';
import { ListOrdersController } from './list-orders/list-orders.controller.js';
import { ListOrdersHandler } from './list-orders/list-orders.handler.js';
import { ListProductsController } from './list-products/list-products.controller.js';
import { ListProductsHandler } from './list-products/list-products.handler.js';
import { OpenCustomerOnUserRegistered } from './open-customer-on-user-registered/open-customer-on-user-registered.handler.js';
import { OrderMetrics } from './order-metrics.js';
import { OrderProcess } from './order-process.js';
import { PaymentRequests } from './payment-requests.js';
import { PlaceOrderController } from './place-order/place-order.controller.js';
import { PlaceOrderHandler } from './place-order/place-order.handler.js';
import { PutProductController } from './put-product/put-product.controller.js';
import { PutProductHandler } from './put-product/put-product.handler.js';
import { PutStockController } from './put-stock/put-stock.controller.js';
import { PutStockHandler } from './put-stock/put-stock.handler.js';
import { ReceivePaymentWebhookController } from './receive-payment-webhook/receive-payment-webhook.controller.js';
import { ReceivePaymentWebhookHandler } from './receive-payment-webhook/receive-payment-webhook.handler.js';
import { PaymentWorker } from './request-payments/payment-worker.js';
import { SubscriptionsController } from './subscriptions.controller.js';

@Module({
  imports: [BackboneModule],
  controllers: [
    SubscriptionsController,
    PutProductController,
    PutStockController,
    ListProductsController,
    GetProductController,
    GetCustomerController,
    PlaceOrderController,
    ListOrdersController,
    GetOrderController,
    CancelOrderController,
    ReceivePaymentWebhookController,
  ],
  providers: [
    { provide: OrdersConfig, useExisting: ServiceConfig },
    OrderProcess,
    PaymentRequests,
    PaymentWorker,
    OrderMetrics,
    // Commands
    PutProductHandler,
    PutStockHandler,
    PlaceOrderHandler,
    CancelOrderHandler,
    ReceivePaymentWebhookHandler,
    // Queries
    ListProductsHandler,
    GetProductHandler,
    GetCustomerHandler,
    ListOrdersHandler,
    GetOrderHandler,
    // Reactions
    OpenCustomerOnUserRegistered,
    ChangeCustomerOnUserProfileChanged,
    ChangeDiscountOnUserTierChanged,
    CancelOrdersOnUserDeactivated,
    CancelOrderOnOrderDeadlinePassed,
  ],
})
export class OrdersModule {}
