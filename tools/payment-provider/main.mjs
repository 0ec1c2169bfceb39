// The payment provider of the sandbox: a third party, played by one small program without dependencies. See --help.
import { createServer } from 'node:http';
import { handle } from './routes.mjs';
import { stopDelivering, verifySecret } from './webhooks.mjs';

const help = `Usage: node tools/payment-provider/main.mjs [--help]

A payment provider for development and tests. It takes payments and refunds, and reports what has become of them by signed
webhooks (https://www.standardwebhooks.com), again and again until they are answered with 2xx. Everything it knows is in
memory and gone when it ends; no money is moved.

  POST /payments        {paymentId, orderId, userId, amountMinor, currency}, with an Idempotency-Key
  POST /refunds         {refundId, paymentId, amountMinor, currency}, with an Idempotency-Key
  GET  /payments[/:id]  what was captured and refunded
  PUT  /modes/:id       {"mode": …, "afterMs": …} for the payments of an order or a user, by id; "default" for all others
  GET  /modes           the table as it is;  DELETE /modes[/:id] takes entries out

  approve       captured and reported at once (the default)
  decline       reported as failed
  timeout       never reported
  duplicate     captured; each webhook is sent twice at the same time
  late          captured and reported after "afterMs" (20000)
  wrong-amount  one minor unit too much is captured and reported

Environment:
  PAYMENT_PROVIDER_PORT   port to listen on (3002), on the address HOST (127.0.0.1)
  PAYMENT_WEBHOOK_URL     where to report to (http://localhost:3001/webhooks/payments)
  PAYMENT_WEBHOOK_SECRET  signs the reports: whsec_ and base64; required
`;

if (process.argv.includes('--help') || process.argv.includes('-h')) {
  process.stdout.write(help);
} else {
  const port = Number(process.env.PAYMENT_PROVIDER_PORT || 3002);
  const host = process.env.HOST || '127.0.0.1';
  verifySecret();
  const server = createServer((request, response) => void handle(request, response, help));
  server.on('error', (error) => {
    console.error(`payment provider: ${error.message}`);
    process.exit(1);
  });
  server.listen(port, host, () => console.log(`payment provider answers at http://${host}:${port}`));
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, () => {
      stopDelivering();
      server.close();
      server.closeAllConnections();
    });
  }
}
