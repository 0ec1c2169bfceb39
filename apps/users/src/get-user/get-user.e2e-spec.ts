import { startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

describe('GET /users/:id', () => {
  let users: TestService;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')));
  afterAll(() => users?.stop());

  const register = async (name: string, email: string) => {
    const { body } = await users.http('POST', '/users', { name, email });
    return (body as { id: string }).id;
  };

  it('shows the user as registered', async () => {
    const before = Date.now();
    const id = await register('Alice', 'Alice@Example.com');
    const { status, headers, body } = await users.http('GET', `/users/${id}`);
    expect(status).toBe(200);
    expect(headers.get('etag')).toBe('"1"');
    expect(body).toEqual({
      id,
      name: 'Alice',
      email: 'Alice@Example.com',
      status: 'active',
      membership: { points: 0, tier: 'standard' },
      version: 1,
      registeredAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    const registeredAt = Date.parse((body as { registeredAt: string }).registeredAt);
    expect(registeredAt).toBeGreaterThan(before - 5_000);
    expect(registeredAt).toBeLessThan(Date.now() + 5_000);
  });

  it('finds the user whatever the case of the id', async () => {
    const id = await register('Bob', 'bob@example.com');
    expect(await users.http('GET', `/users/${id.toUpperCase()}`)).toMatchObject({ status: 200, body: { id } });
  });

  it('answers 404 for a user that there is not', async () => {
    const id = '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11';
    const { status, headers, body } = await users.http('GET', `/users/${id}`);
    expect(status).toBe(404);
    expect(headers.get('content-type')).toMatch('application/problem+json');
    expect(body).toMatchObject({ title: 'Not Found', detail: `There is no user ${id}.`, instance: `/users/${id}` });
  });

  it.each(['not-a-uuid', '1', 'null', "0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11'--", '%00', 'a'.repeat(99)])(
    'answers 400 for %s, which is no id',
    async (id) => {
      const { status, body } = await users.http('GET', `/users/${encodeURIComponent(id)}`);
      expect(status).toBe(400);
      expect(body).toMatchObject({ errors: [{ parameter: 'id' }] });
    },
  );
});
