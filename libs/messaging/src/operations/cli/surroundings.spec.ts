import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { findSurroundings, pick } from './surroundings.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'surroundings-'));
  mkdirSync(path.join(folder, '.data'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (file: string, text: string) => writeFileSync(path.join(folder, file), text);
const running = (pid: number, env: Record<string, string>) =>
  write('.data/addresses.json', JSON.stringify({ pid, env }));

describe('where the services are', () => {
  it('is what the environment says', () => {
    const env = {
      USERS_DATABASE_URL: 'postgres://u',
      ORDER_HISTORY_DATABASE_URL: 'postgres://h',
      RABBITMQ_URL: 'amqp://a, amqp://b',
    };
    expect(findSurroundings(env, folder)).toEqual({
      services: [
        { name: 'order-history', databaseUrl: 'postgres://h' },
        { name: 'users', databaseUrl: 'postgres://u' },
      ],
      rabbitmqUrls: ['amqp://a', 'amqp://b'],
    });
  });

  it('is a secret in a file', () => {
    write('secret', 'postgres://s\n');
    const env = { USERS_DATABASE_URL_FILE: path.join(folder, 'secret') };
    expect(findSurroundings(env, folder).services).toEqual([{ name: 'users', databaseUrl: 'postgres://s' }]);
    expect(() => findSurroundings({ USERS_DATABASE_URL_FILE: '/nowhere' }, folder)).toThrow('cannot be read: /nowhere');
  });

  it('is filled in by .env, and that by what npm start runs', () => {
    running(process.pid, {
      USERS_DATABASE_URL: 'running',
      ORDERS_DATABASE_URL: 'running',
      RABBITMQ_URL: 'amqp://running',
    });
    write('.env', 'USERS_DATABASE_URL=dotenv\nRABBITMQ_URL=\n');
    const before = { ...process.env };
    const found = findSurroundings({ ORDERS_DATABASE_URL: 'environment' }, folder);
    expect(found).toEqual({
      services: [
        { name: 'orders', databaseUrl: 'environment' },
        { name: 'users', databaseUrl: 'dotenv' },
      ],
      rabbitmqUrls: ['amqp://running'],
    });
    expect(process.env).toEqual(before);
  });

  it('is not what a system ran that is gone', () => {
    running(2 ** 22 + 1, { USERS_DATABASE_URL: 'gone' });
    expect(findSurroundings({}, folder).services).toEqual([]);
    write('.data/addresses.json', '{');
    expect(findSurroundings({}, folder).services).toEqual([]);
  });

  it('is asked for if nothing says it', () => {
    expect(() => pick([], undefined)).toThrow('USERS_DATABASE_URL=');
    const known = [{ name: 'users', databaseUrl: '' }];
    expect(() => pick(known, 'user')).toThrow('No service "user" is known here, only: users.');
    expect(pick(known, undefined)).toEqual(known);
  });
});
