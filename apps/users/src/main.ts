import 'reflect-metadata';
import { bootstrap } from '@app/service';
import { UsersModule } from './users.module.js';

await bootstrap({
  service: 'users',
  port: 3000,
  module: UsersModule,
  title: 'Users',
  description: 'Accounts and membership. Tells who registered, hears of their orders.',
});
