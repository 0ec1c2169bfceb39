import { startTestService, type TestService } from '@app/testing';
import { UsersModule } from '../users.module.js';

interface UsersPage {
  items: { id: string; email: string }[];
  nextCursor: string | null;
}

describe('GET /users', () => {
  let users: TestService;
  beforeAll(async () => (users = await startTestService(UsersModule, 'users')));
  afterAll(() => users?.stop());
  beforeEach(() => users.forget('users', 'notifications'));

  const register = async (name: string) => {
    const { body } = await users.http('POST', '/users', { name, email: `${name}@Example.com` });
    return (body as { id: string }).id;
  };
  const registerMany = async (count: number) => {
    const ids: string[] = [];
    for (let n = 0; n < count; n++) ids.push(await register(`user${n}`));
    return ids;
  };
  const list = async (query: Record<string, string> = {}) =>
    (await users.http('GET', `/users?${new URLSearchParams(query).toString()}`)) as { status: number; body: UsersPage };

  it('is empty at first', async () => {
    expect(await list()).toMatchObject({ status: 200, body: { items: [], nextCursor: null } });
  });

  it('shows users as GET /users/:id does, in the order of their registration', async () => {
    const ids = await registerMany(3);
    const { body } = await list();
    expect(body.items.map(({ id }) => id)).toEqual(ids);
    expect(body.nextCursor).toBeNull();
    expect(body.items[1]).toEqual((await users.http('GET', `/users/${ids[1]}`)).body);
  });

  it('goes on from page to page, and shows everybody once although others register meanwhile', async () => {
    const ids = await registerMany(5);
    const seen: string[] = [];
    let cursor: string | null | undefined;
    do {
      const { body } = await list({ limit: '2', ...(cursor && { cursor }) });
      expect(body.items.length).toBeLessThanOrEqual(2);
      seen.push(...body.items.map(({ id }) => id));
      cursor = body.nextCursor;
      if (ids.length < 7) ids.push(await register(`late${ids.length}`));
    } while (cursor !== null);
    expect(seen).toEqual(ids);
  });

  it('has 20 on a page unless told otherwise, and up to 100', async () => {
    await users.database.query(`
      insert into users (id, name, email)
      select uuidv7_like, 'x', n || '@example.com'
      from (select n, ('0199d2c4-7b1e-7000-8000-' || lpad(n::text, 12, '0'))::uuid uuidv7_like from generate_series(1, 120) n) t`);
    expect((await list()).body.items).toHaveLength(20);
    const first = await list({ limit: '100' });
    expect(first.body.items).toHaveLength(100);
    const second = await list({ limit: '100', cursor: first.body.nextCursor! });
    expect([second.body.items.length, second.body.nextCursor]).toEqual([20, null]);
  });

  it('finds a user by e-mail address, whatever its case', async () => {
    const [id] = await registerMany(2);
    for (const email of ['user0@example.com', 'USER0@EXAMPLE.COM']) {
      expect((await list({ email })).body).toMatchObject({
        items: [{ id, email: 'user0@Example.com' }],
        nextCursor: null,
      });
    }
    expect((await list({ email: 'user@example.com' })).body.items).toEqual([]);
    expect((await list({ email: 'user_@example.com' })).body.items).toEqual([]);
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=many', 'limit'],
    ['cursor=x', 'cursor'],
    ['cursor=', 'cursor'],
    [`cursor=${Buffer.from("' or true--").toString('base64url')}`, 'cursor'],
    ['cursor=a&cursor=b', 'cursor'],
    ['email=nobody', 'email'],
    ['email=%00@example.com', 'email'],
    ['offset=20', 'offset'],
  ])('answers 400 for ?%s', async (query, parameter) => {
    const { status, body } = await users.http('GET', `/users?${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ errors: [{ parameter, detail: expect.any(String) }] });
  });
});
