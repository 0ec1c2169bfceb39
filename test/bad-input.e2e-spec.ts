// Everything that a client can get wrong, at every field of every operation there is: a 400 that names the place, never a 500.
// The cases are made from the documentation, so that a new operation is tested without a line here.
import { randomUUID } from 'node:crypto';
import type { ProblemError } from '@app/service';
import { httpClient } from '@app/testing';
import { Webhook } from 'standardwebhooks';
import { SECRET } from '../apps/orders/src/orders.fixture.js';
import { badBodies, badHeaders, badPathValues, badQueries } from './bad-values.js';
import { operationsOf, requestOf, type Operation } from './openapi.js';
import { openShop, type ServiceName, type Shop } from './shop.js';

interface Refusal {
  title: string;
  errors?: ProblemError[];
}

type ServiceOperation = Operation & { service: ServiceName };

/** What is other than in the example. */
interface Change {
  path?: (right: string) => string;
  body?: unknown;
  headers?: Record<string, string>;
}

interface Case extends Change {
  operation: ServiceOperation;
  what: string;
  statuses?: number[];
  /** Whether an entry of the answer says where the mistake is. */
  names?: (error: ProblemError) => boolean;
}

describe('Bad input', () => {
  let shop: Shop;
  const operations: ServiceOperation[] = [];
  beforeAll(async () => {
    shop = await openShop({ env: { PAYMENT_WEBHOOK_SECRET: SECRET, LOG_LEVEL: 'warn' } });
    for (const service of ['users', 'orders'] as const) {
      operations.push(...(await operationsOf(shop[service].http)).map((operation) => ({ ...operation, service })));
    }
    expect(operations.length).toBeGreaterThanOrEqual(16);
  }, 180_000);
  afterAll(() => shop?.close());

  /** The webhook looks at the signature first. */
  const signed = (text: string) => {
    const [id, at] = [randomUUID(), new Date()];
    return {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(SECRET).sign(id, at, text),
    };
  };
  const send = async (operation: ServiceOperation, change: Change) => {
    const { method, path, body, headers } = requestOf(operation);
    const sent = change.body ?? body;
    const text = sent === undefined ? undefined : typeof sent === 'string' ? sent : JSON.stringify(sent);
    const http = httpClient(() => `http://127.0.0.1:${shop.ports[operation.service]}`);
    const signature = path.startsWith('/webhooks') ? signed(text ?? '') : {};
    return http(method, change.path?.(path) ?? path, text, { ...headers, ...signature, ...change.headers });
  };
  /** Sends them all. @param atLeast so many, or the cases are not what they should be */
  const expectRefused = async (cases: readonly Case[], atLeast: number) => {
    const wrong: unknown[] = [];
    for (const { operation, what, statuses = [400], names = () => true, ...change } of cases) {
      const { status, body } = await send(operation, change);
      const { title, errors = [{ detail: '' }] } = body as Refusal;
      const isRefused = statuses.includes(status) && typeof title === 'string' && errors.some(names);
      if (!isRefused) wrong.push([`${operation.method} ${operation.path}: ${what}`, { status, body }]);
    }
    expect(wrong).toEqual([]);
    expect(cases.length).toBeGreaterThan(atLeast);
  };

  it('in a body: the field is named', async () => {
    const cases = operations.flatMap((operation) =>
      (operation.body ? badBodies(operation.body, requestOf(operation).body) : []).map(({ pointer, ...bad }): Case => {
        return { operation, ...bad, names: (error) => error.pointer?.startsWith(pointer) === true };
      }),
    );
    await expectRefused(cases, 150);
  }, 120_000);

  it('in the query: the parameter is named', async () => {
    const cases = operations.flatMap((operation) =>
      badQueries(operation.parameters).map(({ what, query, parameter }): Case => {
        const path = (right: string) => `${right.split('?')[0]}?${query}`;
        return { operation, what, path, names: (error) => error.parameter?.startsWith(parameter) === true };
      }),
    );
    await expectRefused(cases, 60);
  }, 120_000);

  it('in the path: refused, or not found', async () => {
    const withPath = operations.filter((operation) => operation.path.includes('{'));
    const cases = withPath.flatMap((operation) =>
      badPathValues.map((what): Case => {
        const path = () => operation.path.replace(/\{\w+\}/, what);
        return { operation, what, path, statuses: [400, 404, 414] };
      }),
    );
    await expectRefused(cases, 60);
  }, 120_000);

  it('in a header: it is named', async () => {
    const cases = operations.flatMap((operation) =>
      badHeaders(operation.parameters).map(({ header, value }): Case => {
        const what = `${header}: ${value}`;
        return { operation, what, headers: { [header]: value }, names: (error) => error.header === header };
      }),
    );
    await expectRefused(cases, 10);
  });

  it.each([
    ['no JSON', '{', {}, 400],
    ['an empty body', '', {}, 400],
    ['a form', 'name=Alice', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
    ['another encoding', '{}', { 'content-type': 'application/json; charset=utf-16' }, 415],
    ['too much', JSON.stringify('x'.repeat(110_000)), {}, 413],
    ['what is nested too deep', `${'['.repeat(5_000)}${']'.repeat(5_000)}`, {}, 400],
    ['a prototype', '{"__proto__":{"x":1}}', {}, 400],
  ])('instead of a body, %s: refused by every operation that takes one', async (_, body, headers, status) => {
    for (const operation of operations.filter((each) => each.body)) {
      const answer = await send(operation, { body, headers });
      const name = `${operation.method} ${operation.path}`;
      expect({ name, status: answer.status, body: answer.body }).toMatchObject({ name, status, body: { status } });
    }
  });

  it('has changed nothing', async () => {
    expect(await shop.count('users', 'users')).toBe(0);
    expect(await shop.count('orders', 'orders')).toBe(0);
    expect(await shop.count('orders', 'products')).toBe(0);
  });

  it('is nobody’s mistake on our side: no error is logged', () => {
    for (const service of ['users', 'orders'] as const) {
      expect(shop[service].output()).not.toMatch(/"level":"(error|fatal)"/);
    }
  });
});
