// `npm run test:shop`: the shop under random load, with services that are killed; everything must add up. See --help.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Failure, describe } from './infrastructure/failure.mjs';
import { projectDir } from './infrastructure/outside.mjs';

const help = `Usage: npm run test:shop -- [--orders <n>] [--seed <text>] [--help]

Starts a RabbitMQ and a Postgres for itself, both services and the sandbox of the payment provider. Clients register, order,
cancel and leave, and repeat what is not answered, while the services are killed and started again. Once all is at rest, it
compares what clients were told, what the provider captured, and both databases: stock, money, points, notifications, events.

  --orders <n>    orders to be placed (default 10000: some minutes)
  --seed <text>   repeats a run: the same requests, the same kills
  --help          this text

Exits with 0 if everything adds up. npm test does the same with some hundred orders.
`;

try {
  const { orders, seed, help: asked } = readOptions();
  if (asked) process.stdout.write(help);
  else run({ SHOP_ORDERS: orders, SHOP_SEED: seed });
} catch (error) {
  console.error(describe(error));
  process.exitCode = 1;
}

function readOptions() {
  const seed = Math.random().toString(36).slice(2, 8);
  const text = { type: /** @type {const} */ ('string') };
  const options = { orders: text, seed: text, help: { type: /** @type {const} */ ('boolean'), short: 'h' } };
  /** @type {{ orders?: string, seed?: string, help?: boolean }} */
  let values;
  try {
    values = parseArgs({ options }).values;
  } catch (error) {
    throw new Failure(/** @type {Error} */ (error).message, 'The options: npm run test:shop -- --help');
  }
  if (values.orders !== undefined && !/^[1-9]\d{2,6}$/.test(values.orders)) {
    throw new Failure(`--orders must be a whole number from 100 to 9999999, not "${values.orders}".`);
  }
  return { orders: '10000', seed, ...values };
}

/** @param {Record<string, string>} env */
function run(env) {
  console.log(`${env.SHOP_ORDERS} orders, seed ${env.SHOP_SEED}`);
  const test = [path.join(projectDir, 'tools/test.mjs'), '--no-checks', '--runInBand', 'test/shop-sums'];
  const child = spawn(process.execPath, test, { stdio: 'inherit', env: { ...process.env, ...env } });
  // Ctrl-C reaches the whole group; the tests stop their servers and end, then so does this.
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => child.kill(signal));
  child.once('exit', (code) => process.exit(code ?? 1));
}
