import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { UserRegistered } from '@app/contracts';
import { eventually, startTestService, Teller, TellingModule, userNamed } from '@app/testing';
import { behaviour, startShop, TOKEN, UserMoved, type Shop } from './shop.fixture.js';

const registration = (userId: string) => new UserRegistered({ userId, name: 'Ann', email: 'a@example.com' });

let shop: Shop;

describe('/ops, of a service to which nothing happens,', () => {
  beforeAll(async () => (shop = await startShop({ env: { HOST: '0.0.0.0' } })));
  afterAll(() => shop.stop());

  it('is open only to those who know the token', async () => {
    for (const authorization of ['', 'Bearer', 'Bearer x', `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN]) {
      const answer = await shop.http('GET', '/ops', undefined, { authorization });
      expect([authorization, answer.status, answer.headers.get('www-authenticate')]).toEqual([
        authorization,
        401,
        'Bearer',
      ]);
    }
    expect((await shop.http('GET', '/ops')).status).toBe(401);
    expect((await shop.ops('GET', '')).status).toBe(200);
  });

  it('is closed to other machines and to whoever comes through a proxy', async () => {
    const authorization = `Bearer ${TOKEN}`;
    for (const name of ['x-forwarded-for', 'forwarded', 'via']) {
      expect((await shop.http('GET', '/ops', undefined, { authorization, [name]: '127.0.0.1' })).status).toBe(403);
    }
    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address && !address.internal && address.family === 'IPv4');
    if (!outside) return; // a machine without a network
    const { port } = new URL(await shop.app.getUrl());
    const status = await new Promise((resolve, reject) => {
      const options = { host: outside.address, port, path: '/ops', headers: { authorization } };
      request(options, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(403);
  });

  it('asks for a confirmation where nothing can be undone', async () => {
    for (const path of ['/parked/skip', '/parked/retry', '/log/new-epoch', '/inboxes/orders/rebuild']) {
      const answer = await shop.ops('POST', path, {});
      expect([path, answer.status, answer.body]).toMatchObject([path, 400, { errors: [{ pointer: '#/confirm' }] }]);
    }
    expect(await shop.ops('POST', '/parked/skip', { dryRun: true })).toMatchObject({
      status: 200,
      body: { affected: 0 },
    });
    expect(await shop.ops('POST', '/inboxes/orders/rebuild', { confirm: true })).toMatchObject({ status: 409 });
  });

  it('refuses what makes no sense with a problem that says what does', async () => {
    expect(await shop.ops('GET', '/parked/7')).toMatchObject({
      status: 404,
      body: { detail: expect.stringContaining('7') as string },
    });
    expect(await shop.ops('GET', '/parked/x')).toMatchObject({ status: 400 });
    expect(await shop.ops('GET', '/parked?stat=dead')).toMatchObject({
      status: 400,
      body: { errors: [{ parameter: 'stat' }] },
    });
    expect(await shop.ops('GET', '/tail?since=tomorrow')).toMatchObject({ status: 400 });
    const strange = await shop.http('GET', '/ops', undefined, {
      authorization: `Bearer ${TOKEN}`,
      'x-operator': 'a\tb',
    });
    expect(strange.status).toBe(200); // only actions need a name
    const nameless = { authorization: `Bearer ${TOKEN}`, 'x-operator': 'a"b' };
    expect(await shop.http('POST', '/ops/replay', {}, nameless)).toMatchObject({
      status: 400,
      body: { errors: [{ header: 'x-operator' }] },
    });
  });

  it('takes a removed service away from the broker, and writes it down', async () => {
    const { name, api } = shop.vhost;
    const queues = ['shop.inbox', 'shop.inbox.dead', 'shop.replay-requests'];
    for (const queue of queues) await api('PUT', `queues/${name}/${queue}`, { durable: true });
    await api('PUT', `exchanges/${name}/shop.events`, { type: 'topic', durable: true });
    const left = async () => (await shop.vhost.queues()).filter((queue) => queue.name.startsWith('shop.'));
    const detach = (body: object) => shop.ops('POST', '/detach', body);

    expect(await detach({ service: 'shop' })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '#/confirm' }] },
    });
    expect(await detach({ service: 'nobody', confirm: true })).toMatchObject({ status: 404 });
    const found = [...queues, 'shop.events'].map((object) => expect.objectContaining({ name: object }) as object);
    expect(await detach({ service: 'shop', dryRun: true })).toMatchObject({
      status: 200,
      body: { found, affected: 4 },
    });
    expect(await left()).toHaveLength(3);

    expect(await detach({ service: 'shop', confirm: true, reason: 'replaced' })).toMatchObject({
      status: 200,
      body: { found, affected: 4, kept: [] },
    });
    expect(await left()).toEqual([]);
    // A service that still runs would only declare everything again.
    expect(await detach({ service: 'orders', confirm: true })).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('stop the service first') as string },
    });
    const { body: audit } = await shop.ops('GET', '/audit');
    expect(audit).toMatchObject({
      audit: [
        {
          action: 'detach',
          affected: 4,
          reason: 'replaced',
          who: expect.stringContaining('http') as string,
          parameters: { service: 'shop', inbox: null, objects: [...queues, 'shop.events'], kept: [] },
        },
      ],
    });
  });
});

describe('/ops', () => {
  afterEach(() => shop.stop());

  it('is closed without a token, and says how to open it', async () => {
    shop = await startShop({ env: { OPS_TOKEN: 'off' } });
    const answer = await shop.ops('GET', '/parked');
    expect(answer).toMatchObject({ status: 404, body: { detail: expect.stringContaining('Set OPS_TOKEN') as string } });
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect((await shop.ops('POST', '/pause', { scope: 'relay', reason: 'x' })).status).toBe(404);
  });

  it('works in a process without the role api', async () => {
    shop = await startShop({ env: { ROLES: 'relay,inbox,workers' } });
    expect((await shop.ops('GET', '/parked')).status).toBe(200);
  });

  it('shows, retries and skips parked events, and writes down who did it', async () => {
    shop = await startShop();
    behaviour.greet = (name) => (name === 'Eve' ? Promise.reject(new TypeError('no')) : undefined);
    const [retried, skipped] = [randomUUID(), randomUUID()];
    for (const user of [retried, skipped]) {
      await shop.register(user, 'Eve');
      await shop.move(user);
    }
    await eventually(async () => expect(await shop.parked()).toHaveLength(4));
    const { body: groups } = await shop.ops('GET', '/parked/groups?error=TypeError');
    expect(groups).toMatchObject({ groups: [{ events: 2, type: 'users.user.registered.v1', error: 'TypeError: no' }] });
    const find = async (subject: string) => {
      const { body } = await shop.ops('GET', `/parked?subject=${subject}&error=TypeError`);
      return (body as { events: { id: string }[] }).events[0]!.id;
    };
    const { body: details } = await shop.ops('GET', `/parked/${await find(retried)}`);
    expect(details).toMatchObject({
      type: 'users.user.registered.v1',
      stream: { applied: 0, parked: 2 },
      event: { subject: retried },
    });

    const by = { authorization: `Bearer ${TOKEN}`, 'x-operator': 'alice' };
    const skip = await shop.http('POST', `/ops/parked/${await find(skipped)}/skip`, { reason: 'poison' }, by);
    expect(skip).toMatchObject({ status: 200, body: { affected: 1 } });
    await eventually(async () => expect(await shop.effects(skipped)).toEqual(['moved to Rome']));

    // Dead, so that nobody but the operator tries it again.
    const kill = `update messaging.parked_events set state = 'dead', due_at = 'infinity'
      where state = 'retry' and claimed_at is null and subject = $1 returning id`;
    await eventually(async () => expect(await shop.rows(kill, retried)).toHaveLength(1));
    behaviour.greet = () => {};
    const retry = await shop.http('POST', `/ops/parked/${await find(retried)}/retry`, undefined, by);
    expect(retry).toMatchObject({ status: 200, body: { affected: 1 } });
    await eventually(async () => expect(await shop.effects(retried)).toEqual(['greeted Eve', 'moved to Rome']));
    expect(await shop.parked()).toEqual([]);
    const { body: audit } = await shop.ops('GET', '/audit');
    expect(audit).toMatchObject({
      audit: [
        { action: 'parked.retry', who: 'alice (http 127.0.0.1)', reason: null },
        { action: 'parked.skip', who: 'alice (http 127.0.0.1)', reason: 'poison', parameters: { subject: skipped } },
      ],
    });
  });

  it('shows both sides of the books: what was recorded here and what was applied there', async () => {
    shop = await startShop();
    const told = new UserMoved({ userId: randomUUID(), city: 'Rome' });
    const owner = await startTestService(TellingModule, 'users', {
      vhost: shop.vhost,
      env: { OPS_TOKEN: TOKEN, BOOKS_INTERVAL_MS: '500' },
    });
    try {
      const { database, outbox } = owner.app.get(Teller);
      await database.transaction((tx) => outbox.add(tx, userNamed(told.userId, 'Ann')));
      await database.transaction((tx) => outbox.add(tx, told));
      const authorization = `Bearer ${TOKEN}`;
      await eventually(async () => {
        const { body: there } = await owner.http('GET', '/ops/books', undefined, { authorization });
        const { body: here } = await shop.ops('GET', '/books');
        const [account] = (here as { accounts: { aggregate: string; epoch: string; applied: number }[] }).accounts;
        expect(account).toMatchObject({ aggregate: 'users.user', applied: 2 });
        const { aggregate, epoch } = account!;
        expect(there).toEqual({
          accounts: [],
          recorded: { settledPage: expect.any(Number) as number, accounts: [{ aggregate, epoch, recorded: 2 }] },
        });
      });
    } finally {
      await owner.stop();
    }
  });

  it('tells everything else, too', async () => {
    shop = await startShop();
    await shop.register(randomUUID());
    await eventually(async () => expect(await shop.effects()).toHaveLength(1));
    const get = async (path: string) => (await shop.ops('GET', path)).body;
    expect(await get('')).toMatchObject({ outbox: { pending: 0 }, parked: { dead: 0 }, pauses: [] });
    expect(await get('/outbox')).toMatchObject({ pending: 0, exact: true, unpublishable: [] });
    expect(await get('/timers')).toMatchObject({ timers: { pending: 0 } });
    expect(await get('/books')).toMatchObject({
      accounts: [{ inbox: 'orders', aggregate: 'users.user', applied: 1, parked: 0 }],
      recorded: { accounts: [] },
    });
    expect(await get('/log')).toMatchObject({ position: 0 });
    expect(await get('/holds')).toEqual({ holds: [] });
    expect(await get('/inboxes')).toEqual({ inboxes: ['orders'] });
    expect(await get('/pauses')).toEqual({ pauses: [] });
    expect((await shop.ops('POST', '/replay')).body).toEqual({ affected: 1 });
    expect(await get('/tail?once=true&since=1h')).toBe('');
  });
});

describe('a sequence that was given up', () => {
  afterEach(() => shop.stop());

  it('is dropped if it comes after all, and does not stop anything', async () => {
    shop = await startShop();
    const user = randomUUID();
    const [missing, next] = [
      shop.envelope(registration(user)),
      shop.envelope(new UserMoved({ userId: user, city: 'Rome' })),
    ];
    await shop.deliverBatch([next]);
    await eventually(async () => expect(await shop.parked()).toHaveLength(1));
    const body = { source: 'users', aggregate: 'users.user', subject: user, sequence: 1, confirm: true };
    expect(await shop.ops('POST', '/parked/skip-missing', body)).toMatchObject({ status: 409 });
    expect(await shop.ops('POST', '/parked/skip-missing', { ...body, page: 0 })).toMatchObject({ status: 200 });
    await eventually(async () => expect(await shop.effects(user)).toEqual(['moved to Rome']));
    await shop.deliverBatch([missing]);
    await shop.move(user, 'Oslo');
    await eventually(async () => expect(await shop.effects(user)).toEqual(['moved to Rome', 'moved to Oslo']));
    expect(await shop.rows('select from messaging.inbox_holds')).toEqual([]);
    expect(await shop.parked()).toEqual([]);
  });

  it('is dropped even if nothing came behind it yet', async () => {
    shop = await startShop();
    const user = randomUUID();
    await shop.rows(
      `insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
       values ('orders', '/users', $1, 'users.user', $2, 1, '00000000-0000-0000-0000-000000000000')`,
      '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a10',
      user,
    );
    const place = { epoch: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a10', sequence: 1 };
    await shop.deliverBatch([shop.envelope(registration(user), place)]);
    const other = randomUUID();
    await shop.register(other);
    await eventually(async () => expect(await shop.effects(other)).toHaveLength(1));
    expect(await shop.effects(user)).toEqual([]);
    expect(await shop.rows('select from messaging.inbox_holds')).toEqual([]);
  });
});
