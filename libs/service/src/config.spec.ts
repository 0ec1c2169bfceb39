import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { ConfigurationError, loadConfig } from './config.js';
import { describeVariables } from './variables.js';

const databaseUrl = 'postgres://postgres:postgres@localhost:5432/users';
const load = (env: Record<string, string | undefined>, service = 'users') => loadConfig(service, { port: 3000 }, env);

/** The table of what is wrong with `env`. */
function wrong(env: Record<string, string | undefined>): ConfigurationError {
  try {
    load(env);
  } catch (error) {
    if (error instanceof ConfigurationError) return error;
    throw error;
  }
  throw new Error('expected a ConfigurationError');
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: string): string {
  const name = path.join(folder, 'secret');
  writeFileSync(name, content);
  return name;
}

describe('the configuration of a service', () => {
  it('needs nothing but its database', () => {
    expect(load({ USERS_DATABASE_URL: databaseUrl })).toMatchObject({
      service: 'users',
      port: 3000,
      host: '127.0.0.1',
      databaseUrl,
      databasePoolSize: 16,
      rabbitmqUrls: ['amqp://guest:guest@localhost:5672'],
      roles: new Set(['api', 'relay', 'inbox', 'workers']),
      logLevel: 'info',
      logFormat: 'auto',
      shutdownTimeoutMs: 10_000,
    });
  });

  it('reads variables that begin with the name of the service, whatever the service', () => {
    const env = { ORDER_HISTORY_DATABASE_URL: 'postgresql://db/history', ORDER_HISTORY_PORT: '4711', USERS_PORT: '1' };
    expect(load(env, 'order-history')).toMatchObject({ port: 4711, databaseUrl: 'postgresql://db/history' });
  });

  it('takes several brokers and some roles', () => {
    const config = load({
      USERS_DATABASE_URL: databaseUrl,
      RABBITMQ_URL: 'amqp://a@one:5672/shop, amqps://b@two',
      ROLES: 'api, relay',
    });
    expect(config.rabbitmqUrls).toEqual(['amqp://a@one:5672/shop', 'amqps://b@two']);
    expect([...config.roles]).toEqual(['api', 'relay']);
  });

  it('treats an empty variable as absent', () => {
    expect(load({ USERS_DATABASE_URL: databaseUrl, LOG_LEVEL: '', ROLES: ' ' })).toMatchObject({ logLevel: 'info' });
  });

  it('reads secrets from files', () => {
    expect(load({ USERS_DATABASE_URL_FILE: file(`${databaseUrl}\n`) })).toMatchObject({ databaseUrl });
  });
});

describe('a wrong configuration', () => {
  it('is reported as a whole, with a remedy for each variable', () => {
    const error = wrong({ USERS_PORT: '70000', ROLES: 'api,cook', LOG_LEVEL: 'loud', DATABASE_POOL_SIZE: '1e3' });
    expect(error.problems.map(({ variable }) => variable)).toEqual([
      'USERS_PORT',
      'USERS_DATABASE_URL',
      'DATABASE_POOL_SIZE',
      'ROLES',
      'LOG_LEVEL',
    ]);
    expect(error.message).toContain('The configuration of users is wrong');
    expect(error.message).toMatch(/USERS_DATABASE_URL +\(not set\) +is required +for example postgres:\/\//);
    expect(error.message).toMatch(/ROLES +api,cook +must be a list of api, relay, inbox, workers/);
  });

  it.each(['localhost:5432/users', 'mysql://localhost/users', 'postgres://localhost', 'postgres:///users'])(
    'is %s as a database',
    (url) => expect(wrong({ USERS_DATABASE_URL: url }).problems).toHaveLength(1),
  );

  it.each(['http://localhost', 'localhost:5672', 'amqp://one,two', 'amqp://one,'])('is %s as a broker', (url) => {
    expect(wrong({ USERS_DATABASE_URL: databaseUrl, RABBITMQ_URL: url }).problems).toHaveLength(1);
  });

  it.each([
    ['USERS_DATABASE_URL', 'postgres://app:hunter2@db:port/users'],
    ['USERS_DATABASE_URL', 'app:hunter2@db/users'],
    ['USERS_DATABASE_URL', 'mysql://app:hun@hunter2@db/users'],
    ['RABBITMQ_URL', 'amqp://a:hunter2@one,http://b:hunter2@two'],
    ['RABBITMQ_URL', 'a:hunter2@one,b:hunter2@two'],
    ['USERS_DATABASE_URL', 'postgres://app:the/hunter2@db/users'],
    ['USERS_DATABASE_URL', `postgres://app:hunter2${'x'.repeat(60)}/@db/users`],
    ['OPS_TOKEN', 'a hunter2 in the night'],
  ])('does not show the password of %s=%s', (name, value) => {
    const { message } = wrong({ USERS_DATABASE_URL: databaseUrl, [name]: value });
    expect(message).toContain(name);
    expect(message).not.toContain('hunter2');
  });

  it('names the file of a secret that cannot be read or is empty', () => {
    expect(wrong({ USERS_DATABASE_URL_FILE: '/nowhere/secret' }).message).toContain('cannot be read (ENOENT)');
    expect(wrong({ USERS_DATABASE_URL_FILE: file('\n') }).message).toContain('names an empty file');
  });

  it('is a secret that is set twice', () => {
    const { message } = wrong({ USERS_DATABASE_URL: databaseUrl, USERS_DATABASE_URL_FILE: file(databaseUrl) });
    expect(message).toContain('is set twice, also by USERS_DATABASE_URL_FILE');
  });
});

it('describes variables whose defaults and examples are right themselves', () => {
  for (const { name, default: standard, example, schema, meaning } of describeVariables('users', { port: 3000 })) {
    expect([name, schema.safeParse(example).success]).toEqual([name, true]);
    expect([name, standard === undefined || schema.safeParse(standard).success]).toEqual([name, true]);
    expect(meaning).toMatch(/\.$/);
  }
});
