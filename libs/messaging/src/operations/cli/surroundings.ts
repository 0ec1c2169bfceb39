// Where the services are: what the environment says, else .env, else what `npm start` is running here.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { projectFolder } from '@app/database';
import { UsageError } from './command.js';

export interface KnownService {
  name: string;
  databaseUrl: string;
}

export interface Surroundings {
  services: KnownService[];
  rabbitmqUrls: string[];
}

type Environment = Record<string, string | undefined>;

const DATABASE = /^([A-Z][A-Z0-9_]*)_DATABASE_URL(_FILE)?$/;

/** `folder` holds `.env` and `.data`. */
export function findSurroundings(env: Environment = process.env, folder = projectFolder()): Surroundings {
  const all = { ...runningSystem(folder), ...dotEnv(folder), ...nonEmpty(env) };
  const services = Object.keys(all).flatMap((variable) => {
    const [, prefix] = DATABASE.exec(variable) ?? [];
    const databaseUrl = prefix && valueOf(all, `${prefix}_DATABASE_URL`);
    return databaseUrl ? [{ name: prefix.toLowerCase().replaceAll('_', '-'), databaseUrl }] : [];
  });
  const unique = new Map(services.map((service) => [service.name, service]));
  const rabbitmq = valueOf(all, 'RABBITMQ_URL');
  return {
    services: [...unique.values()].sort((a, b) => a.name.localeCompare(b.name)),
    rabbitmqUrls: rabbitmq?.split(',').map((url) => url.trim()) ?? [],
  };
}

/** @throws {@link UsageError} if nothing is known, or not this one */
export function pick(services: readonly KnownService[], name: string | undefined): KnownService[] {
  if (services.length === 0) {
    throw new UsageError(
      'Where are the services? Either "npm start" runs here, or set their databases: USERS_DATABASE_URL=postgres://…',
    );
  }
  if (name === undefined) return [...services];
  const found = services.filter((service) => service.name === name);
  if (found.length > 0) return found;
  throw new UsageError(
    `No service "${name}" is known here, only: ${services.map((service) => service.name).join(', ')}.`,
  );
}

/** What `npm start` has written down while it runs. */
function runningSystem(folder: string): Environment {
  const file = path.join(folder, '.data', 'addresses.json');
  if (!existsSync(file)) return {};
  try {
    const { pid, env } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; env: Environment };
    process.kill(pid, 0);
    return env;
  } catch {
    return {}; // it was killed and could not tidy up
  }
}

function dotEnv(folder: string): Environment {
  const file = path.join(folder, '.env');
  return existsSync(file) ? nonEmpty(parseEnv(readFileSync(file, 'utf8'))) : {};
}

const nonEmpty = (env: Environment): Environment =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value?.trim()));

function valueOf(env: Environment, name: string): string | undefined {
  const file = env[`${name}_FILE`];
  if (env[name] || !file) return env[name];
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw new UsageError(`${name}_FILE names a file that cannot be read: ${file}`);
  }
}
