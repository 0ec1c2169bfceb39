// What a Nest user would have otherwise, and how it is set. Printed with the results.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from '../../tools/infrastructure/commands.mjs';
import { projectDir } from '../../tools/infrastructure/outside.mjs';
import { npm } from '../../tools/start/dependencies.mjs';

const folder = path.join(projectDir, 'bench/peers/golevelup');

export const GOLEVELUP_ENTRY = path.join(folder, 'main.mjs');

const SAME =
  'durable quorum queue, persistent messages with confirms, manual acknowledgement after the insert, prefetch 256; ' +
  'one insert on each side, 16 connections to Postgres each, 64 commands at a time; no outbox, no inbox';

/** @param {string} dir @param {string} name */
const versionIn = (dir, name) =>
  JSON.parse(readFileSync(path.join(dir, 'node_modules', name, 'package.json'), 'utf8')).version;

/** The settings of those that take part. @param {boolean} withGolevelup */
export function describePeers(withGolevelup) {
  const stock = `Nest's stock transport: @nestjs/microservices ${versionIn(projectDir, '@nestjs/microservices')}, ClientRMQ.emit → ServerRMQ; ${SAME}`;
  if (!withGolevelup) return [stock];
  const version = (/** @type {string} */ name) => `${name} ${versionIn(folder, name)}`;
  return [stock, `golevelup: ${version('@golevelup/nestjs-rabbitmq')} on ${version('@nestjs/core')}; ${SAME}`];
}

/**
 * Installs the peer with dependencies of its own, Nest 11.
 * @returns {Promise<string | undefined>} why it cannot take part
 */
export async function installGolevelup() {
  const lock = 'node_modules/.package-lock.json';
  if (existsSync(path.join(folder, lock)) && isFresh()) return undefined;
  const [command, ...args] = npm('ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error');
  const { code, stderr, stdout } = await run(command, args, { cwd: folder, env: process.env, timeoutMs: 180_000 });
  if (code === 0) return undefined;
  const [reason = ''] = (stderr || stdout).trim().split('\n');
  return `npm ci in bench/peers/golevelup failed (${code === 124 ? 'after 3 minutes' : `exit code ${code}`}): ${reason}`;
}

function isFresh() {
  const versions = (/** @type {string} */ file) => {
    const { packages } = JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
    return JSON.stringify(
      Object.entries(packages)
        .filter(([name]) => name)
        .map(([name, { version }]) => [name, version]),
    );
  };
  return versions('package-lock.json') === versions('node_modules/.package-lock.json');
}
