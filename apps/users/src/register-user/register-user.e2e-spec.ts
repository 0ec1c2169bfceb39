import { startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

interface Answer {
  status: number;
  body: { id: string };
}

describe('POST /users', () => {
  let users: TestService;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')));
  afterAll(() => users?.stop());
  beforeEach(() => users.forget('users', 'notifications', 'http.idempotency_keys'));

  const register = async (body: unknown, headers?: Record<string, string>) =>
    (await users.http('POST', '/users', body, headers)) as Answer & { headers: Headers };

  it('registers the user and says where it is', async () => {
    const { status, headers, body } = await register({ name: '  Alice ', email: 'alice@example.com' });
    expect(status).toBe(201);
    expect(body).toEqual({
      id: expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/),
      name: 'Alice',
      email: 'alice@example.com',
    });
    expect(headers.get('location')).toBe(`/users/${body.id}`);
    expect(await users.http('GET', headers.get('location')!)).toMatchObject({ status: 200, body });
  });

  it('records the event in the transaction of the user', async () => {
    const { body } = await register({ name: 'Alice', email: 'alice@example.com' });
    expect(await users.sentBy()).toEqual([
      {
        type: 'users.user.registered.v1',
        subject: body.id,
        sequence: 1,
        data: { userId: body.id, name: 'Alice', email: 'alice@example.com' },
      },
    ]);
    const together = await users.rows('select from users u join messaging.events e on e.xmin = u.xmin');
    expect(together).toHaveLength(1);
  });

  it('keeps neither user nor event if the event cannot be recorded', async () => {
    await users.database.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'the log is full'; end $$;
      create trigger refuse before insert on messaging.events for each row execute function refuse()`);
    try {
      expect(await register({ name: 'Alice', email: 'alice@example.com' })).toMatchObject({ status: 500 });
      expect(await users.rows('select from users')).toEqual([]);
      expect(await users.rows('select from messaging.outbox')).toEqual([]);
    } finally {
      await users.database.query('drop trigger refuse on messaging.events');
    }
    expect(await register({ name: 'Alice', email: 'alice@example.com' })).toMatchObject({ status: 201 });
  });

  it('hands the caller’s correlation id and trace to the event', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const headers = { 'x-correlation-id': 'order-from-the-shop-7', traceparent };
    const answer = await register({ name: 'Alice', email: 'alice@example.com' }, headers);
    expect(answer.headers.get('x-correlation-id')).toBe('order-from-the-shop-7');
    expect(await users.rows('select correlation_id, causation_id, traceparent from messaging.events')).toEqual([
      { correlation_id: 'order-from-the-shop-7', causation_id: null, traceparent },
    ]);
  });

  it.each(['alice@example.com', 'ALICE@example.COM'])(
    'refuses %s, which is taken, whatever its case',
    async (email) => {
      await register({ name: 'Alice', email: 'Alice@Example.com' });
      expect(await register({ name: 'Alicia', email })).toMatchObject({
        status: 409,
        body: { title: 'Conflict', detail: expect.stringContaining(email), errors: [{ pointer: '#/email' }] },
      });
      expect(await users.sentBy()).toHaveLength(1);
    },
  );

  it.each([2, 20])('lets exactly one of %i racing requests have an e-mail address', async (racers) => {
    const requests = Array.from({ length: racers }, (_, i) =>
      register({ name: `Alice ${i}`, email: i % 2 ? 'race@example.com' : 'RACE@example.com' }),
    );
    const answers = await Promise.all(requests);
    const winners = answers.filter(({ status }) => status === 201);
    expect(winners).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(racers - 1);
    expect(await users.rows('select id from users')).toEqual([{ id: winners[0]!.body.id }]);
    expect(await users.sentBy()).toMatchObject([{ subject: winners[0]!.body.id, sequence: 1 }]);
  });

  describe('with an Idempotency-Key', () => {
    const alice = { name: 'Alice', email: 'alice@example.com' };
    const key = { 'idempotency-key': 'a3f1' };
    const location = ({ headers }: { headers: Headers }) => headers.get('location');

    it('registers once, however often it is asked', async () => {
      const first = await register(alice, key);
      const again = await register(alice, key);
      expect([again.status, again.body, location(again)]).toEqual([201, first.body, location(first)]);
      expect(await register(alice)).toMatchObject({ status: 409 });
      expect(await users.sentBy()).toHaveLength(1);
      const together = 'select from users u join http.idempotency_keys k on k.xmin = u.xmin';
      expect(await users.rows(together)).toHaveLength(1);
    });

    it('refuses another registration', async () => {
      await register(alice, key);
      expect(await register({ ...alice, name: 'Bob' }, key)).toMatchObject({ status: 422 });
      expect(await users.sentBy()).toHaveLength(1);
    });

    it('stores no refusal: what is wrong may be put right', async () => {
      await register(alice);
      expect(await register(alice, key)).toMatchObject({ status: 409, body: { errors: [{ pointer: '#/email' }] } });
      expect(await register({ ...alice, email: 'alice2@example.com' }, key)).toMatchObject({ status: 201 });
    });

    it('never registers two users, however many requests race', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => register(alice, key)));
      const statuses = new Set(answers.map(({ status }) => status));
      expect([...statuses].filter((status) => ![201, 409].includes(status))).toEqual([]);
      const ids = answers.filter(({ status }) => status === 201).map(({ body }) => body.id);
      expect(new Set(ids).size).toBe(1);
      expect(await users.rows('select id from users')).toEqual([{ id: ids[0] }]);
      expect(await users.sentBy()).toHaveLength(1);
    });
  });

  it('does what its example in the documentation shows', async () => {
    const { body } = await users.http('GET', '/openapi.json');
    const { Registration } = (body as { components: { schemas: Record<string, { properties: object }> } }).components
      .schemas;
    const fields = Object.entries(Registration!.properties) as [string, { example: string }][];
    const example = Object.fromEntries(fields.map(([field, { example }]) => [field, example]));
    expect(await register(example)).toMatchObject({ status: 201, body: example });
  });

  const name = 'Alice';
  const email = 'alice@example.com';
  describe('refuses, with a pointer to the field,', () => {
    it.each<[string, unknown, string[]]>([
      ['a missing name', { email }, ['#/name']],
      ['an empty name', { name: '', email }, ['#/name']],
      ['a name of blanks', { name: ' \t ', email }, ['#/name']],
      ['a name of 201 characters', { name: 'x'.repeat(201), email }, ['#/name']],
      ['a name that is a number', { name: 1, email }, ['#/name']],
      ['a name that is null', { name: null, email }, ['#/name']],
      ['a name with a NUL', { name: 'Al\0ice', email }, ['#/name']],
      ['a name with half a surrogate pair', { name: 'Al\ud800ice', email }, ['#/name']],
      ['a missing e-mail address', { name }, ['#/email']],
      ['an e-mail address without a domain', { name, email: 'alice@' }, ['#/email']],
      ['an e-mail address with a line break', { name, email: 'alice@example.com\n' }, ['#/email']],
      ['an e-mail address of 255 characters', { name, email: `${'x'.repeat(243)}@example.com` }, ['#/email']],
      ['an unknown property', { name, email, role: 'admin' }, ['#/role']],
      ['everything that is wrong at once', { name: '', role: 'admin' }, ['#/name', '#/email', '#/role']],
      ['a body that is no object', ['Alice'], ['#']],
      ['a body that tampers with prototypes', `{"name":"Alice","email":"${email}","__proto__":{"x":1}}`, ['#']],
    ])('%s', async (_, given, pointers) => {
      const { status, headers, body } = await register(given);
      expect(status).toBe(400);
      expect(headers.get('content-type')).toMatch('application/problem+json');
      const { errors } = body as unknown as { errors: { pointer: string; detail: string }[] };
      expect(errors.map(({ pointer }) => pointer).sort()).toEqual(pointers.sort());
      for (const { detail } of errors) expect(detail).toBeTruthy();
      expect(await users.rows('select from users')).toEqual([]);
      expect(await users.sentBy()).toEqual([]);
    });
  });

  describe('refuses', () => {
    const tooLarge = JSON.stringify({ name, email, padding: 'x'.repeat(102_400) });
    it.each<[string, string | undefined, Record<string, string>, number]>([
      ['broken JSON', '{"name":', {}, 400],
      ['an empty body', '', {}, 400],
      ['no body', undefined, {}, 400],
      ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('latin1'), {}, 400],
      ['a body over 100 kB', tooLarge, {}, 413],
      ['text/plain', `{"name":"Alice","email":"${email}"}`, { 'content-type': 'text/plain' }, 415],
      ['a form', 'name=Alice', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
      ['another encoding', '{}', { 'content-type': 'application/json; charset=utf-16' }, 415],
      ['a compressed body', '{}', { 'content-encoding': 'gzip' }, 415],
    ])('%s with a problem that says why', async (_, given, headers, expected) => {
      const bytes = given === undefined ? undefined : Buffer.from(given, 'latin1');
      const answer = await register(bytes, headers);
      expect(answer).toMatchObject({ status: expected, body: { status: expected, instance: '/users' } });
      expect(answer.headers.get('content-type')).toMatch('application/problem+json');
      expect((answer.body as unknown as { detail?: string; errors?: unknown[] }).detail).toBeTruthy();
      expect(await users.rows('select from users')).toEqual([]);
    });
  });

  it('takes a name of 200 characters, in any script, and an e-mail address of 254', async () => {
    const longest = `${'x'.repeat(64)}@${'y'.repeat(63)}.${'z'.repeat(63)}.${'a'.repeat(57)}.com`;
    expect(longest).toHaveLength(254);
    expect(await register({ name: '名'.repeat(200), email: longest })).toMatchObject({ status: 201 });
    expect(await users.sentBy()).toMatchObject([{ data: { name: '名'.repeat(200), email: longest } }]);
  });
});
