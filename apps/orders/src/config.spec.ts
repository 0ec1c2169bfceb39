import { loadConfig } from '@app/service';
import { ordersVariables } from './config.js';

const load = (url: string) =>
  loadConfig(
    'orders',
    { port: 3001, variables: ordersVariables },
    {
      ORDERS_DATABASE_URL: 'postgres://localhost/orders',
      PAYMENT_WEBHOOK_SECRET: ordersVariables.paymentWebhookSecret.example,
      PAYMENT_PROVIDER_URL: url,
    },
  );

it('takes the URL of a payment provider, without what the paths begin with', () => {
  expect(load('https://pay.example/v1/')).toMatchObject({ paymentProviderUrl: 'https://pay.example/v1' });
});

it('refuses one with a user or a password, which no call could use', () => {
  expect(() => load('https://user:secret@pay.example')).toThrow('must not hold a user or a password');
});
