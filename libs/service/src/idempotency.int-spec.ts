import { Database } from '@app/database';
import { startTestService, type TestService } from '@app/testing';
import { Body, Controller, Module, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { BackboneModule } from './backbone.module.js';
import { Idempotency, IdempotencyKey, type KeyedRequest } from './idempotency.js';
import { ConflictProblem } from './problem.js';

const thing = z.strictObject({ name: z.string(), tags: z.record(z.string(), z.number()).optional() });
/** What a test lets happen inside of the command. */
let meanwhile: () => Promise<unknown> = () => Promise.resolve();

@Controller('things')
class ThingsController {
  constructor(
    private readonly database: Database,
    private readonly idempotency: Idempotency,
  ) {}

  @Post()
  create(
    @Body({ schema: thing }) { name }: z.infer<typeof thing>,
    @IdempotencyKey() key: KeyedRequest | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.idempotency.once(key, reply, async () => {
      const id = await this.database.transaction(async (tx) => {
        const { rows } = await tx.query<{ id: number }>('insert into things (name) values ($1) returning id', [name]);
        await meanwhile();
        return rows[0]!.id;
      });
      void reply.header('location', `/things/${id}`).code(202);
      return { name, id, at: new Date(), nothing: undefined };
    });
  }

  @Post(':id/poke')
  poke(
    @Param('id') id: string,
    @IdempotencyKey() key: KeyedRequest | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return this.idempotency.once(key, reply, async () => {
      await this.database.transaction((tx) => tx.query('insert into things (name) values ($1)', [`poked ${id}`]));
    });
  }
}

@Module({ imports: [BackboneModule], controllers: [ThingsController] })
class ThingsModule {}

describe('Idempotency-Key', () => {
  let service: TestService;
  beforeAll(async () => {
    const sql = 'create table things (id int generated always as identity primary key, name text not null unique)';
    service = await startTestService(ThingsModule, 'users', { sql });
  });
  afterAll(() => service?.stop());
  beforeEach(() => service.database.query('truncate things, http.idempotency_keys'));
  afterEach(() => (meanwhile = () => Promise.resolve()));

  const create = async (body: unknown, key?: string) => {
    const headers: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key };
    const answer = await service.http('POST', '/things', body, headers);
    return { status: answer.status, location: answer.headers.get('location'), body: answer.body };
  };
  const things = () => service.rows<{ name: string }>('select name from things order by id');
  const keys = async () =>
    (await service.rows<{ key: string }>('select key from http.idempotency_keys order by key')).map(({ key }) => key);
  const a = { name: 'a' };

  it('gives the same request the same answer, and acts once', async () => {
    const first = await create(a, 'k');
    expect(first).toMatchObject({ status: 202, location: expect.stringMatching(/^\/things\/\d+$/), body: a });
    expect(await create(a, 'k')).toEqual(first);
    expect(await things()).toEqual([a]);
  });

  it('does not mind blanks and the order of properties', async () => {
    const first = await create({ name: 'a', tags: { x: 1, y: 2 } }, 'k');
    expect(await create('{ "tags": { "y": 2, "x": 1 }, "name": "a" }', 'k')).toEqual(first);
  });

  it('stores the answer in the transaction of the command', async () => {
    await create(a, 'k');
    expect(await service.rows('select from things t join http.idempotency_keys k on k.xmin = t.xmin')).toHaveLength(1);
  });

  it('refuses another request with the same key', async () => {
    const first = await create(a, 'k');
    expect(await create({ name: 'b' }, 'k')).toMatchObject({
      status: 422,
      location: null,
      body: { errors: [{ header: 'Idempotency-Key' }] },
    });
    expect(await create(a, 'k')).toEqual(first);
    expect(await things()).toEqual([a]);
  });

  it('keeps keys of different routes apart, and parameters are part of the request', async () => {
    const poke = (id: string) => service.http('POST', `/things/${id}/poke`, undefined, { 'idempotency-key': 'k' });
    expect(await create(a, 'k')).toMatchObject({ status: 202 });
    expect(await poke('1')).toMatchObject({ status: 201, body: '' });
    expect(await poke('1')).toMatchObject({ status: 201, body: '' });
    expect(await poke('2')).toMatchObject({ status: 422 });
    expect(await things()).toEqual([a, { name: 'poked 1' }]);
  });

  it('does nothing without the header', async () => {
    expect(await create(a)).toMatchObject({ status: 202 });
    expect(await create({ name: 'b' })).toMatchObject({ status: 202 });
    expect(await keys()).toEqual([]);
  });

  it('stores nothing of what failed, so that it may be tried again', async () => {
    meanwhile = () => Promise.reject(new ConflictProblem('Not now.'));
    expect(await create(a, 'k')).toMatchObject({ status: 409, location: null, body: { detail: 'Not now.' } });
    meanwhile = () => Promise.reject(new Error('inner'));
    expect(await create(a, 'k')).toMatchObject({ status: 500, location: null });
    expect(await create({ nam: 'a' }, 'k')).toMatchObject({ status: 400 });
    expect([await keys(), await things()]).toEqual([[], []]);
    meanwhile = () => Promise.resolve();
    expect(await create(a, 'k')).toMatchObject({ status: 202 });
    expect(await create({ name: 'a' }, 'k2')).toMatchObject({ status: 500 });
    expect(await keys()).toEqual(['k']);
  });

  it('does not name the place of what was not committed', async () => {
    await service.database.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
      create trigger refuse before insert on http.idempotency_keys for each row execute function refuse()`);
    try {
      expect(await create(a, 'k')).toMatchObject({ status: 500, location: null });
      expect(await things()).toEqual([]);
    } finally {
      await service.database.query('drop trigger refuse on http.idempotency_keys');
    }
  });

  it('answers 409 while the first request is running', async () => {
    let finish = () => {};
    const running = new Promise<void>((started) => {
      meanwhile = () => new Promise<void>((resolve) => ((finish = resolve), started()));
    });
    const first = create(a, 'k');
    await running;
    const second = await service.http('POST', '/things', a, { 'idempotency-key': 'k' });
    expect(second).toMatchObject({ status: 409, body: { detail: expect.stringContaining('still running') } });
    expect(second.headers.get('retry-after')).toBe('1');
    finish();
    const answer = await first;
    expect(await create(a, 'k')).toEqual(answer);
  });

  it.each([2, 30])('acts once for %i racing requests', async (racers) => {
    const answers = await Promise.all(Array.from({ length: racers }, () => create(a, 'k')));
    const good = answers.filter(({ status }) => status === 202);
    expect(new Set(good.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(racers - good.length);
    expect(await things()).toEqual([a]);
  });

  it('runs the command again after a deadlock', async () => {
    let attempts = 0;
    meanwhile = () =>
      ++attempts < 3 ? Promise.reject(Object.assign(new Error('deadlock'), { code: '40P01' })) : Promise.resolve();
    expect(await create(a, 'k')).toMatchObject({ status: 202 });
    expect(attempts).toBe(3);
    expect(await things()).toEqual([a]);
  });

  it('forgets answers after 24 hours, a few with every new one', async () => {
    for (let n = 0; n < 15; n++) await create({ name: `old ${n}` }, `old ${n}`);
    await create(a, 'young');
    await service.database.query(
      `update http.idempotency_keys set answered_at = now() - interval '24 hours' where key <> 'young'`,
    );
    expect(await create({ name: 'new' }, 'old 3')).toMatchObject({ status: 202 });
    expect(await keys()).toHaveLength(1 + 1 + 4);
    expect(await keys()).toContain('old 3');
    await create({ name: 'newer' }, 'newer');
    expect(await keys()).toEqual(['newer', 'old 3', 'young']);
  });

  it.each(['', 'x'.repeat(256), 'é', 'tab\there'])('refuses the key %j', async (key) => {
    expect(await create(a, key)).toMatchObject({
      status: 400,
      body: { errors: [{ detail: expect.any(String), header: 'Idempotency-Key' }] },
    });
    expect(await things()).toEqual([]);
  });

  it.each(['x', 'x'.repeat(255), '"8e03978e-40d5-43dd-bc93-6894a57f9324"', `a b'; drop`])(
    'takes the key %j',
    async (key) => {
      expect(await create(a, key)).toEqual(await create(a, key));
      expect(await keys()).toEqual([key]);
    },
  );

  it('is documented', async () => {
    const { body } = await service.http('GET', '/openapi.json');
    expect((body as { paths: object }).paths).toMatchObject({
      '/things': { post: { parameters: [{ name: 'Idempotency-Key', in: 'header', required: false }] } },
    });
  });
});
