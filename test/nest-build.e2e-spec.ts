// The other tests run what `npm start` runs. Containers run what `nest build` makes, one file for each module.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  courierTo,
  createServiceDatabase,
  createTestVhost,
  eventually,
  freePort,
  startServiceProcess,
  userNamed,
} from '@app/testing';

/** The compiler checks all types, which alone keeps a processor busy for 20 s. */
const BUSY_MACHINE_MS = 240_000;

const projectDir = path.resolve(import.meta.dirname, '..');

it(
  'nest build makes a program that works as a container starts it',
  async () => {
    // Elsewhere than `nest build` alone would: the programs of the other tests are there.
    const folder = path.join(projectDir, 'dist/nest-build');
    mkdirSync(folder, { recursive: true });
    const config = path.join(folder, 'tsconfig.json');
    writeFileSync(
      config,
      JSON.stringify({
        extends: path.join(projectDir, 'apps/orders/tsconfig.app.json'),
        compilerOptions: { outDir: path.join(folder, 'orders') },
      }),
    );
    const nest = path.join(projectDir, 'node_modules/@nestjs/cli/bin/nest.js');
    execFileSync(process.execPath, [nest, 'build', 'orders', '--path', path.relative(projectDir, config)], {
      cwd: projectDir,
    });

    const [database, vhost, port] = await Promise.all([createServiceDatabase('orders'), createTestVhost(), freePort()]);
    const courier = courierTo(vhost);
    const orders = await startServiceProcess('orders', {
      program: path.join(folder, 'orders/apps/orders/src/main.js'),
      port,
      databaseUrl: database.url,
      rabbitmqUrl: vhost.url,
      env: {
        PAYMENT_PROVIDER_URL: 'http://127.0.0.1:1',
        PAYMENT_WEBHOOK_SECRET: `whsec_${btoa('nest-build-of-orders-1234')}`,
      },
    });
    try {
      const userId = randomUUID();
      await courier.deliver(userNamed(userId, 'Alice'));
      await eventually(async () =>
        expect(await orders.http('GET', `/customers/${userId}`)).toMatchObject({
          status: 200,
          body: { name: 'Alice' },
        }),
      );
      expect(await orders.stop()).toEqual({ code: 0, signal: null });
    } finally {
      await orders.stop();
      await courier.close();
      await Promise.all([database.drop(), vhost.drop()]);
    }
  },
  BUSY_MACHINE_MS,
);
