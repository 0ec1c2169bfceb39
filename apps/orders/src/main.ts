import 'reflect-metadata';
import { bootstrap } from '@app/service';
import { OrdersModule } from './orders.module.js';

await bootstrap({
  service: 'orders',
  port: 3001,
  module: OrdersModule,
  title: 'Orders',
  description: 'Customers. Hears who registered.',
});
