import 'reflect-metadata';
import { bootstrap, migrationsOf } from '@app/service';
import { ShippingModule } from './shipping.module.js';

await bootstrap({
  service: 'shipping',
  port: 3003,
  module: ShippingModule,
  title: 'Shipping',
  description: 'Prepares a shipment for every order that is confirmed.',
  migrations: migrationsOf('examples/shipping'),
});
