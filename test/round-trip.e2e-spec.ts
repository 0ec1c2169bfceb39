import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { eventually } from '@app/testing';
import { openShop, type Shop } from './shop.js';

const readme = path.join(import.meta.dirname, '../README.md');
const commands = existsSync(readme)
  ? readFileSync(readme, 'utf8')
  : `curl -X POST localhost:3000/users -H 'content-type: application/json' -d '{"name":"Alice","email":"alice@example.com"}'
     curl localhost:3001/customers/<id>`;

function command(pattern: RegExp): string {
  const found = pattern.exec(commands)?.[0].trim();
  if (!found) throw new Error(`README.md does not show a command like ${pattern}`);
  return found;
}

/** Runs a command of the README in a shell. @returns the body that it prints */
async function run(text: string, ports: Shop['ports']): Promise<{ id?: string }> {
  const here = text
    .replace('localhost:3000', `127.0.0.1:${ports.users}`)
    .replace('localhost:3001', `127.0.0.1:${ports.orders}`)
    .replace('curl', 'curl --silent');
  const { stdout } = await promisify(execFile)('/bin/sh', ['-c', here]);
  return JSON.parse(stdout.slice(stdout.indexOf('{'))) as { id?: string };
}

describe('the commands of the README', () => {
  let shop: Shop;
  beforeAll(async () => (shop = await openShop()), 120_000);
  afterAll(() => shop?.close());

  it('register a user, who is a customer of the other service within a second', async () => {
    const { id } = await run(command(/^.*curl .*localhost:3000\/users\b.*$/m), shop.ports);
    expect(id).toEqual(expect.any(String));
    const registered = performance.now();
    const show = command(/^.*curl .*localhost:3001\/customers\/\S+.*$/m).replace(/(customers\/)[^\s'"]+/, `$1${id}`);
    await eventually(async () =>
      expect(await run(show, shop.ports)).toMatchObject({ userId: id, name: 'Alice', email: 'alice@example.com' }),
    );
    expect(performance.now() - registered).toBeLessThan(1_000);
  });

  it('carry one correlation id through both services', async () => {
    const headers = { 'x-correlation-id': 'round-trip-1' };
    const { body } = await shop.users.http('POST', '/users', { name: 'Bob', email: 'bob@example.com' }, headers);
    const { id } = body as { id: string };
    await eventually(async () =>
      expect(await shop.orders.http('GET', `/customers/${id}`)).toMatchObject({ status: 200 }),
    );
    expect(shop.users.output()).toContain('"correlationId":"round-trip-1"');
    expect(await shop.rows('users', 'select correlation_id from messaging.events where subject = $1', id)).toEqual([
      { correlation_id: 'round-trip-1' },
    ]);
  });

  it('leave nothing waiting: outbox empty, nothing parked, both services ready', async () => {
    await shop.atRest();
    for (const service of [shop.users, shop.orders]) {
      expect(await service.http('GET', '/health/ready')).toMatchObject({ status: 200, body: { status: 'ok' } });
    }
  });

  it('end with SIGTERM and exit code 0', async () => {
    const ends = await Promise.all([shop.users.stop('SIGTERM'), shop.orders.stop('SIGTERM')]);
    expect(ends).toEqual([
      { code: 0, signal: null },
      { code: 0, signal: null },
    ]);
    for (const output of [shop.users.output(), shop.orders.output()]) {
      expect(output).toContain('finishes what it is doing');
      expect(output).not.toMatch(/"level":"(error|fatal)"/);
    }
  });
});
