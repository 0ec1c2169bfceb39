import { randomUUID } from 'node:crypto';
import { startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

describe('PATCH /users/:id', () => {
  let users: TestService;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')));
  afterAll(() => users?.stop());
  beforeEach(async () => {
    await users.forget('users', 'notifications');
    id = await register('Alice', 'alice@example.com');
  });

  let id: string;
  const register = async (name: string, email: string) => {
    const { body } = await users.http('POST', '/users', { name, email });
    return (body as { id: string }).id;
  };
  const change = (body: unknown, headers?: Record<string, string>, of = id) =>
    users.http('PATCH', `/users/${of}`, body, headers);
  const get = async () => (await users.http('GET', `/users/${id}`)).body as Record<string, unknown>;
  const changes = async () => (await users.sentBy()).filter(({ type }) => type === 'users.user.profile-changed.v1');

  it.each([
    [{ name: ' Alice Liddell ' }, { name: 'Alice Liddell', email: 'alice@example.com' }],
    [{ email: 'liddell@example.com' }, { name: 'Alice', email: 'liddell@example.com' }],
    [{ email: 'ALICE@example.com' }, { name: 'Alice', email: 'ALICE@example.com' }],
    [
      { name: 'Bob', email: 'bob@example.com' },
      { name: 'Bob', email: 'bob@example.com' },
    ],
  ])('with %j changes the user and tells so', async (body, profile) => {
    const answer = await change(body);
    expect(answer).toMatchObject({ status: 200, body: { id, ...profile, status: 'active', version: 2 } });
    expect(answer.headers.get('etag')).toBe('"2"');
    expect(answer.body).toEqual(await get());
    expect(await changes()).toEqual([
      { type: 'users.user.profile-changed.v1', subject: id, sequence: 2, data: { userId: id, ...profile } },
    ]);
    expect(await users.rows('select from users u join messaging.events e on e.xmin = u.xmin')).toHaveLength(1);
  });

  it.each([{ name: 'Alice' }, { name: ' Alice' }, { name: 'Alice', email: 'alice@example.com' }])(
    'with %j changes nothing and tells nothing',
    async (body) => {
      const before = await get();
      const answer = await change(body);
      expect(answer).toMatchObject({ status: 200, body: before });
      expect(answer.headers.get('etag')).toBe('"1"');
      expect(await changes()).toEqual([]);
    },
  );

  it.each(['bob@example.com', 'BOB@example.com'])('refuses %s, which is taken', async (email) => {
    await register('Bob', 'bob@example.com');
    const before = await get();
    expect(await change({ name: 'Bob', email })).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining(email), errors: [{ pointer: '#/email' }] },
    });
    expect([await get(), await changes()]).toEqual([before, []]);
  });

  it('refuses a user that there is not, and one that is deactivated', async () => {
    const nobody = randomUUID();
    expect(await change({ name: 'Bob' }, {}, nobody)).toMatchObject({
      status: 404,
      body: { detail: `There is no user ${nobody}.` },
    });
    expect(await change({ name: 'Bob' }, {}, 'nobody')).toMatchObject({
      status: 400,
      body: { errors: [{ parameter: 'id' }] },
    });
    await users.http('POST', `/users/${id}/deactivate`);
    expect(await change({ name: 'Bob' })).toMatchObject({ status: 409 });
    expect(await change({ name: 'Bob' }, { 'if-match': '"1"' })).toMatchObject({ status: 409 });
    expect(await changes()).toEqual([]);
  });

  describe('with If-Match', () => {
    it.each(['"1"', '*', '"0", "1"'])('%s changes the version that the client has seen', async (ifMatch) => {
      expect(await change({ name: 'Bob' }, { 'if-match': ifMatch })).toMatchObject({
        status: 200,
        body: { version: 2 },
      });
    });

    it.each(['"2"', 'W/"1"', '"0"'])('%s refuses another version', async (ifMatch) => {
      const answer = await change({ name: 'Bob' }, { 'if-match': ifMatch });
      expect(answer).toMatchObject({ status: 412, body: { errors: [{ header: 'If-Match' }] } });
      expect(answer.headers.get('etag')).toBe('"1"');
      expect(await changes()).toEqual([]);
    });

    it.each(['1', '"1', 'x, "1"'])('%s is malformed', async (ifMatch) => {
      expect(await change({ name: 'Bob' }, { 'if-match': ifMatch })).toMatchObject({
        status: 400,
        body: { errors: [{ header: 'If-Match' }] },
      });
    });

    it.each([2, 12])('lets one of %i racing changes win', async (racers) => {
      const answers = await Promise.all(
        Array.from({ length: racers }, (_, n) => change({ name: `Alice ${n}` }, { 'if-match': '"1"' })),
      );
      const winners = answers.filter(({ status }) => status === 200);
      expect(winners).toHaveLength(1);
      expect(answers.filter(({ status }) => status === 412)).toHaveLength(racers - 1);
      const { name } = winners[0]!.body as { name: string };
      expect(await get()).toMatchObject({ name, version: 2 });
      expect(await changes()).toMatchObject([{ data: { name } }]);
    });
  });

  it('loses none of many racing changes without If-Match, and tells them in their order', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => change(n % 2 ? { name: `Alice ${n}` } : { email: `alice${n}@example.com` })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    const { name, email, version } = await get();
    const told = await changes();
    expect([version, told.length]).toEqual([11, 10]);
    expect(told.at(-1)!.data).toEqual({ userId: id, name, email });
    const byVersion = answers.map(({ body }) => body as { name: string; email: string; version: number });
    byVersion.sort((a, b) => a.version - b.version);
    expect(told.map(({ data }) => [data.name, data.email])).toEqual(byVersion.map((user) => [user.name, user.email]));
  });

  it('gives an e-mail address that two users ask for at once to one of them', async () => {
    const other = await register('Bob', 'bob@example.com');
    const email = 'wanted@example.com';
    const answers = await Promise.all([change({ email }), change({ email }, {}, other)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(await changes()).toHaveLength(1);
  });

  it.each<[string, unknown, string[]]>([
    ['an empty change', {}, ['#']],
    ['no object', [], ['#']],
    ['an empty name', { name: ' ' }, ['#/name']],
    ['a name that is null', { name: null }, ['#/name']],
    ['a name of 201 characters', { name: 'x'.repeat(201) }, ['#/name']],
    ['no e-mail address', { email: 'alice' }, ['#/email']],
    ['unknown properties', { name: 'Bob', version: 1, status: 'active' }, ['#/status', '#/version']],
    ['everything at once', { name: '', email: '', id: 1 }, ['#/email', '#/id', '#/name']],
  ])('refuses %s with a pointer to the field', async (_, body, pointers) => {
    const { status, body: problem } = await change(body);
    expect(status).toBe(400);
    const { errors } = problem as { errors: { pointer: string; detail: string }[] };
    expect(errors.map(({ pointer }) => pointer).sort()).toEqual(pointers);
    expect(await changes()).toEqual([]);
  });
});
