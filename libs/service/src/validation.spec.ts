import { Body, Controller, Get, HttpCode, Module, Param, Post, Put, Query } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { z } from 'zod';

import { loadConfig } from './config.js';
import { createHttpApp } from './http-app.js';
import type { ProblemDetails } from './problem.js';
import { uuidParam } from './validation.js';

const NewUser = z.strictObject({
  name: z.string().trim().min(1).max(200),
  email: z.email().max(254),
  age: z.int().min(18).optional(),
  tier: z.enum(['silver', 'gold']).optional(),
  lines: z
    .array(z.strictObject({ 'a/b': z.number().multipleOf(2) }))
    .max(2)
    .optional(),
  code: z.string().regex(/^A/, { error: 'must begin with A' }).optional(),
});
const Page = z.strictObject({ limit: z.coerce.number().int().max(100).default(20), email: z.string().optional() });

@Controller('users')
class Users {
  @Post()
  @HttpCode(200)
  post(@Body({ schema: NewUser }) body: unknown) {
    return body;
  }
  @Put()
  put(@Body() body: unknown) {
    return { body };
  }
  @Get()
  list(@Query({ schema: Page }) page: unknown) {
    return page;
  }
  @Get(':id')
  get(@Param('id', { schema: uuidParam }) id: string) {
    return { id };
  }
}

@Module({ controllers: [Users] })
class UsersModule {}

let app: NestFastifyApplication;
beforeAll(async () => {
  const env = { USERS_DATABASE_URL: 'postgres://localhost/users', LOG_LEVEL: 'silent' };
  app = await createHttpApp(UsersModule, loadConfig('users', { port: 0 }, env), { title: 'Users' });
  await app.init();
});
afterAll(() => app.close());

const json = { 'content-type': 'application/json' };

async function send(method: 'POST' | 'PUT' | 'GET', url: string, payload?: string | Buffer, headers: object = json) {
  const response = await app.inject({ method, url, payload, headers: payload === undefined ? {} : { ...headers } });
  const body = response.json<ProblemDetails>();
  if (response.statusCode >= 400) expect(response.headers['content-type']).toBe('application/problem+json');
  return { status: response.statusCode, body, errors: body.errors, detail: body.detail };
}
const post = (body: unknown) => send('POST', '/users', JSON.stringify(body));
const alice = { name: 'Alice', email: 'alice@example.com' };

describe('a valid request', () => {
  it('arrives as the schema makes it', async () => {
    expect(await post({ ...alice, name: ' Alice ' })).toMatchObject({ status: 200, body: alice });
    expect(await send('GET', '/users?limit=7')).toMatchObject({ status: 200, body: { limit: 7 } });
    const id = '0198C0DE-0000-7000-8000-000000000001';
    expect(await send('GET', `/users/${id}`)).toMatchObject({ status: 200, body: { id: id.toLowerCase() } });
  });

  it.each(['application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"', 'application/merge-patch+json'])(
    'may be sent as %s',
    async (type) => {
      expect(await send('POST', '/users', JSON.stringify(alice), { 'content-type': type })).toMatchObject({
        status: 200,
      });
    },
  );
});

describe('an invalid body', () => {
  it.each([
    [{ email: alice.email }, 'is required', '#/name'],
    [{ ...alice, name: '  ' }, 'must not be empty', '#/name'],
    [{ ...alice, name: 'a'.repeat(201) }, 'must have at most 200 characters', '#/name'],
    [{ ...alice, name: 7 }, 'must be a string', '#/name'],
    [{ ...alice, name: null }, 'must be a string', '#/name'],
    [{ ...alice, email: 'alice' }, 'must be an e-mail address', '#/email'],
    [{ ...alice, email: `${'a'.repeat(250)}@example.com` }, 'must have at most 254 characters', '#/email'],
    [{ ...alice, admin: true }, '"admin" is not known here', '#/admin'],
    [{ ...alice, constructor: { name: 'x' } }, '"constructor" is not known here', '#/constructor'],
    [{ ...alice, age: 17 }, 'must be at least 18', '#/age'],
    [{ ...alice, age: 18.5 }, 'must be a whole number', '#/age'],
    [{ ...alice, tier: 'tin' }, 'must be "silver" or "gold"', '#/tier'],
    [{ ...alice, lines: [{ 'a/b': 3 }] }, 'must be a multiple of 2', '#/lines/0/a~1b'],
    [{ ...alice, lines: [{}, {}, {}] }, 'must have at most 2 items', '#/lines'],
    [{ ...alice, code: 'B' }, 'must begin with A', '#/code'],
    [{ ...alice, name: 'a\u0000b' }, 'must not contain the NUL character', '#/name'],
    [{ ...alice, name: '\ud83d' }, 'must not contain half of a surrogate pair', '#/name'],
    [{ ...alice, 'x\u0000': 1 }, 'has a property whose name must not contain the NUL character', '#'],
    [[alice], 'must be an object', '#'],
    ['Alice', 'must be an object', '#'],
    [null, 'must be an object', '#'],
  ])('%j: %s', async (body, detail, pointer) => {
    const { status, errors } = await post(body);
    expect(status).toBe(400);
    expect(errors).toContainEqual({ detail, pointer });
  });

  it('is reported as a whole', async () => {
    const { errors } = await post({ name: '', email: 'x', a: 1, b: 2 });
    expect(errors?.map(({ pointer }) => pointer)).toEqual(['#/name', '#/email', '#/a', '#/b']);
  });

  it('does not make a long answer', async () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`p${i}`, i]));
    expect((await post({ ...alice, ...many })).errors).toHaveLength(50);
  });

  it.each([
    ['{"name":"Al', 400, 'The body is not valid JSON: Unterminated string in JSON at position 11.'],
    ['{"secret":1,}', 400, 'The body is not valid JSON: '],
    ['Alice', 400, "The body is not valid JSON: Unexpected token 'A'."],
    ['', 400, 'The body is empty, but Content-Type says that it is JSON.'],
    [Buffer.from([0x22, 0xff, 0x22]), 400, 'The body is not valid UTF-8.'],
    [`"${'a'.repeat(102_400)}"`, 413, 'The body is larger than 100 kB.'],
  ])('%.20s is a %d', async (payload, status, detail) => {
    const answer = await send('POST', '/users', payload);
    expect(answer.status).toBe(status);
    expect(answer.detail?.startsWith(detail)).toBe(true);
    expect(answer.detail).not.toContain('secret');
  });

  it.each(['{"__proto__":{"admin":true}}', '{"a":[{"__proto__":null}]}'])('%s is an attack', async (payload) => {
    expect(await send('PUT', '/users', payload)).toMatchObject({ status: 400 });
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
  });

  it.each(['[', '{"a":'])('is not nested deeper than the stack: %s…', async (open) => {
    const depth = 20_000;
    const payload = open.repeat(depth) + '1' + (open === '[' ? ']' : '}').repeat(depth);
    const { status, errors } = await send('PUT', '/users', payload);
    expect(status).toBe(payload.length > 102_400 ? 413 : 400);
    if (status === 400) expect(errors?.[0]?.detail).toBe('must not be nested more than 32 deep');
  });

  it.each([
    { 'content-type': 'text/plain' },
    { 'content-type': 'application/x-www-form-urlencoded' },
    { 'content-type': 'application/jsonp' },
    { 'content-type': 'nonsense' },
    { 'content-type': 'application/json; charset=latin1' },
    { 'content-type': 'application/json', 'content-encoding': 'gzip' },
  ])('is a 415 with %j', async (headers) => {
    expect((await send('POST', '/users', JSON.stringify(alice), headers)).status).toBe(415);
  });

  it('is one that is missing', async () => {
    expect(await send('POST', '/users')).toMatchObject({
      status: 400,
      errors: [{ detail: 'is required', pointer: '#' }],
    });
  });
});

describe('an invalid parameter', () => {
  it.each([
    ['/users/not-a-uuid', 'must be a UUID', 'id'],
    ['/users/%00', 'must not contain the NUL character', 'id'],
    ['/users?limit=101', 'must be at most 100', 'limit'],
    ['/users?limit=x', 'must be a number', 'limit'],
    ['/users?limit=1&limit=2', 'must be a number', 'limit'],
    ['/users?emial=x', '"emial" is not known here', 'emial'],
    ['/users?email=%00', 'must not contain the NUL character', 'email'],
    ['/users?email=a&email=b', 'must be a string', 'email'],
  ])('%s: %s', async (url, detail, parameter) => {
    expect(await send('GET', url)).toMatchObject({ status: 400, errors: [{ detail, parameter }] });
  });

  it.each([
    ['/users/%zz', 400, 'The path is not a valid URL path.'],
    [`/users/${'a'.repeat(101)}`, 414, 'A part of the path is too long.'],
    ['/users?__proto__=x', 400, 'The request is not valid.'],
  ])('%.20s is a %d', async (url, status, detail) => {
    expect(await send('GET', url)).toMatchObject({ status, detail });
  });
});
