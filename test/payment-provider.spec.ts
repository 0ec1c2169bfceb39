import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { eventually, freePort, httpClient, startProcess, type TestProcess } from '@app/testing';
import { Webhook } from 'standardwebhooks';

const SECRET = `whsec_${Buffer.alloc(24, 'sandbox').toString('base64')}`;
const readme = readFileSync(path.join(import.meta.dirname, '../README.md'), 'utf8');
const program = ['tools/payment-provider/main.mjs'];

interface Report {
  type: string;
  data: { paymentId: string; amountMinor: number };
}

describe('the sandbox of the payment provider', () => {
  let sandbox: TestProcess;
  let url: string;
  const heard: { id: string; report: Report }[] = [];
  /** What the next webhooks are answered with; then 204. */
  const answers: number[] = [];
  const shop = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const headers = request.headers as Record<string, string>;
      const report = new Webhook(SECRET).verify(body, headers) as Report; // throws if the signature is wrong
      heard.push({ id: headers['webhook-id']!, report });
      response.writeHead(answers.shift() ?? 204).end();
    });
  });
  beforeAll(async () => {
    const [port, shopPort] = [await freePort(), await freePort()];
    await new Promise<void>((resolve) => shop.listen(shopPort, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${port}`;
    sandbox = await startProcess(process.execPath, program, {
      env: {
        PAYMENT_PROVIDER_PORT: String(port),
        PAYMENT_WEBHOOK_SECRET: SECRET,
        PAYMENT_WEBHOOK_URL: `http://127.0.0.1:${shopPort}/webhooks/payments`,
      },
      readyUrl: `${url}/health/ready`,
    });
  });
  afterAll(async () => {
    expect(await sandbox?.stop()).toEqual({ code: 0, signal: null });
    shop.close();
    shop.closeAllConnections();
  });

  const http = httpClient(() => url);
  const payment = () => ({ paymentId: randomUUID(), orderId: randomUUID(), userId: randomUUID() });
  const charge = (of = payment(), key = of.paymentId, change = {}) =>
    http('POST', '/payments', { ...of, amountMinor: 2_375, currency: 'EUR', ...change }, { 'idempotency-key': key });
  const reportsOn = (paymentId: string) => heard.filter(({ report }) => report.data.paymentId === paymentId);
  const known = async (paymentId: string) => (await http('GET', `/payments/${paymentId}`)).body;

  it('approves, and reports it signed', async () => {
    const of = payment();
    expect(await charge(of)).toMatchObject({ status: 202, body: { reference: expect.stringMatching(/^pay_/) } });
    await eventually(() => expect(reportsOn(of.paymentId)).toHaveLength(1));
    expect(reportsOn(of.paymentId)[0]!.report).toMatchObject({
      type: 'payment.completed',
      data: { amountMinor: 2_375, currency: 'EUR' },
    });
    expect(await known(of.paymentId)).toMatchObject({ status: 'completed', capturedMinor: 2_375 });
  });

  it('takes each Idempotency-Key once', async () => {
    const of = payment();
    const first = await charge(of);
    expect((await charge(of)).body).toEqual(first.body);
    expect(await charge(of, of.paymentId, { amountMinor: 1 })).toMatchObject({ status: 422 });
    await eventually(() => expect(reportsOn(of.paymentId)).toHaveLength(1));
  });

  it('reports again, under the same id, until it is answered with 2xx', async () => {
    answers.push(500, 404, 302);
    const of = payment();
    await charge(of);
    await eventually(() => expect(reportsOn(of.paymentId)).toHaveLength(4));
    expect(new Set(reportsOn(of.paymentId).map(({ id }) => id)).size).toBe(1);
  });

  it.each([
    ['decline', [['payment.failed', 2_375]], 0],
    ['duplicate', [['payment.completed', 2_375], ['payment.completed', 2_375]], 2_375], // prettier-ignore
    ['late', [['payment.completed', 2_375]], 2_375],
    ['wrong-amount', [['payment.completed', 2_376]], 2_376],
  ])('in mode %s reports %j', async (mode, reports, capturedMinor) => {
    for (const target of ['orderId', 'userId'] as const) {
      const of = payment();
      expect(await http('PUT', `/modes/${of[target]}`, { mode, afterMs: 100 })).toMatchObject({ status: 200 });
      await charge(of);
      await eventually(() =>
        expect(reportsOn(of.paymentId).map(({ report }) => [report.type, report.data.amountMinor])).toEqual(reports),
      );
      expect(await known(of.paymentId)).toMatchObject({ capturedMinor });
    }
  });

  it('in mode timeout reports nothing; the mode of the order goes before that of the user and the default', async () => {
    const [silent, loud] = [payment(), payment()];
    await http('PUT', '/modes/default', { mode: 'timeout' });
    await http('PUT', `/modes/${loud.userId}`, { mode: 'timeout' });
    await http('PUT', `/modes/${loud.orderId}`, { mode: 'approve' });
    await charge(silent);
    await charge(loud);
    await eventually(() => expect(reportsOn(loud.paymentId)).toHaveLength(1));
    expect(reportsOn(silent.paymentId)).toEqual([]);
    expect(await http('DELETE', '/modes')).toMatchObject({ status: 200, body: {} });
  });

  it('refunds', async () => {
    const of = payment();
    await charge(of);
    const refundId = randomUUID();
    const body = { refundId, paymentId: of.paymentId, amountMinor: 2_375, currency: 'EUR' };
    for (let n = 0; n < 2; n++) {
      expect(await http('POST', '/refunds', body, { 'idempotency-key': refundId })).toMatchObject({ status: 202 });
    }
    await eventually(() => expect(reportsOn(of.paymentId)).toHaveLength(2));
    expect(
      reportsOn(of.paymentId)
        .map(({ report }) => report.type)
        .sort(),
    ).toEqual(['payment.completed', 'payment.refunded']);
    expect(await known(of.paymentId)).toMatchObject({ status: 'refunded', refundedMinor: 2_375 });
  });

  it.each<[string, string, unknown, Record<string, string>, number]>([
    ['a payment without a key', '/payments', { amountMinor: 1 }, {}, 400],
    ['a payment without a user', '/payments', { amountMinor: 1 }, { 'idempotency-key': 'a' }, 400],
    ['no JSON', '/payments', 'hello', { 'idempotency-key': 'a' }, 400],
    ['what it does not know', '/loans', {}, {}, 404],
  ])('refuses %s', async (_, path, body, headers, status) => {
    expect(await http('POST', path, body, headers)).toMatchObject({ status, body: { error: expect.any(String) } });
  });

  it('refuses a mode that is none', async () => {
    expect(await http('PUT', '/modes/default', { mode: 'generous' })).toMatchObject({ status: 400 });
  });

  it('has the modes that the README lists', async () => {
    const table = /\| mode .*?\n\n/s.exec(readme)?.[0] ?? '';
    const listed = [...table.matchAll(/^\| `([\w-]+)`/gm)].map(([, mode]) => mode);
    const { body } = await http('PUT', '/modes/default', { mode: 'none of them' });
    expect(body).toEqual({ error: `mode must be one of ${listed.join(', ')}` });
  });

  it('explains itself, and does not start without a secret', async () => {
    const help = await startProcess(process.execPath, [...program, '--help']);
    expect(await help.exit).toMatchObject({ code: 0 });
    expect(help.output()).toContain('wrong-amount');
    const bare = await startProcess(process.execPath, program, { env: { PAYMENT_WEBHOOK_SECRET: '' } });
    expect(await bare.exit).toMatchObject({ code: 78 });
    expect(bare.output()).toContain('PAYMENT_WEBHOOK_SECRET must be');
  });
});
