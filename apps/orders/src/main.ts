import 'reflect-metadata';
import { bootstrap } from '@app/service';
import { ordersVariables } from './config.js';
import { OrdersModule } from './orders.module.js';

await bootstrap({
  service: 'orders',
  port: 3001,
  variables: ordersVariables,
  module: OrdersModule,
  title: 'Orders',
  description: 'Products and their stock, customers, orders and their payments.',
});
