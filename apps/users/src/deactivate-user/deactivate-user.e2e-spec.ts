import { randomUUID } from 'node:crypto';
import { startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

describe('POST /users/:id/deactivate', () => {
  let users: TestService;
  let id: string;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')));
  afterAll(() => users?.stop());
  beforeEach(async () => {
    await users.forget('users', 'notifications');
    const { body } = await users.http('POST', '/users', { name: 'Alice', email: 'alice@example.com' });
    id = (body as { id: string }).id;
  });

  const deactivate = (body?: unknown, of = id) => users.http('POST', `/users/${of}/deactivate`, body);
  const told = async () => (await users.sentBy()).filter(({ type }) => type === 'users.user.deactivated.v1');

  it.each([undefined, {}, { reason: 'Moved away' }])(
    'with the body %j closes the account and tells so',
    async (body) => {
      const answer = await deactivate(body);
      expect(answer).toMatchObject({ status: 200, body: { id, status: 'deactivated', version: 2 } });
      expect(answer.headers.get('etag')).toBe('"2"');
      expect((await users.http('GET', `/users/${id}`)).body).toEqual(answer.body);
      expect(await told()).toEqual([
        { type: 'users.user.deactivated.v1', subject: id, sequence: 2, data: { userId: id, ...body } },
      ]);
      expect(await users.rows('select from users u join messaging.events e on e.xmin = u.xmin')).toHaveLength(1);
    },
  );

  it('may be repeated, with another reason, too', async () => {
    const first = await deactivate({ reason: 'Moved away' });
    expect(await deactivate({ reason: 'Moved away' })).toMatchObject({ status: 200, body: first.body });
    expect(await deactivate({ reason: 'Bored' })).toMatchObject({ status: 200, body: first.body });
    expect(await told()).toMatchObject([{ data: { reason: 'Moved away' } }]);
  });

  it('happens once, however many requests race', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => deactivate({ reason: `reason ${n}` })));
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 200, body: { status: 'deactivated', version: 2 } });
    expect(await told()).toHaveLength(1);
  });

  it('does not free the e-mail address', async () => {
    await deactivate();
    expect(await users.http('POST', '/users', { name: 'Bob', email: 'alice@example.com' })).toMatchObject({
      status: 409,
    });
  });

  it('answers 404 for a user that there is not', async () => {
    expect(await deactivate({}, randomUUID())).toMatchObject({ status: 404 });
    expect(await deactivate({}, 'nobody')).toMatchObject({ status: 400, body: { errors: [{ parameter: 'id' }] } });
  });

  it.each<[unknown, string]>([
    [{ reason: '' }, '#/reason'],
    [{ reason: 'x'.repeat(501) }, '#/reason'],
    [{ reason: null }, '#/reason'],
    [{ reason: 'a\0b' }, '#/reason'],
    [{ why: 'bored' }, '#/why'],
    [[], '#'],
  ])('refuses %j', async (body, pointer) => {
    expect(await deactivate(body)).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
    expect(await told()).toEqual([]);
  });
});
