import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, platform, release, totalmem } from 'node:os';
import path from 'node:path';
import { projectDir } from '../../tools/infrastructure/outside.mjs';

const PACKAGES = ['@nestjs/core', '@nestjs/microservices', '@nestjs/cqrs', 'pg', 'kysely', 'amqplib', 'zod', 'fastify'];
const SETTINGS = ['fsync', 'synchronous_commit', 'shared_buffers', 'max_wal_size', 'max_connections'];

/**
 * Where it was measured, and with what.
 * @param {import('./servers.mjs').Servers} servers
 * @param {string} [otherNode]
 */
export async function machine(servers, otherNode) {
  const versions = await servers.versions();
  const settings = await servers.superuser(
    `select name, current_setting(name) as value from pg_settings where name in ('${SETTINGS.join("','")}') order by 1`,
  );
  const other = otherNode && execFileSync(otherNode, ['--version'], { encoding: 'utf8' }).trim().replace(/^v/, '');
  const [{ model } = { model: 'unknown processor' }] = cpus();
  const list = (/** @type {Record<string, string>} */ named) =>
    Object.entries(named)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ');
  return {
    hardware: `${cpus().length} cores (${model}), ${Math.round(totalmem() / 2 ** 30)} GB, ${platform()} ${release()}`,
    software: list(versions),
    packages: list(Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)]))),
    settings: settings.map(({ name, value }) => `${name} ${value}`).join(', '),
    otherNode: other,
  };
}

/** @param {string} name */
const versionOf = (name) =>
  JSON.parse(readFileSync(path.join(projectDir, 'node_modules', name, 'package.json'), 'utf8')).version;
