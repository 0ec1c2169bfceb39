import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isContention, isDatabaseUnavailable, migrate, projectFolder, type MigrationSet } from '@app/database';
import { InboxServer, messagingMigrations } from '@app/messaging';
import type { INestApplication, LoggerService } from '@nestjs/common';
import type { ServiceConfig } from './config.js';

/** How long a start waits for a database that is not there yet. */
const PATIENCE_MS = 60_000;

/**
 * The tables of a service: those of messaging and of HTTP, then its own in `<folder>/migrations`, e.g.
 * `apps/users/migrations`.
 */
export const migrationsOf = (folder: string): MigrationSet[] => [
  messagingMigrations,
  { name: 'http', folder: projectFolder('libs', 'service', 'migrations') },
  { name: path.basename(folder), folder: projectFolder(folder, 'migrations') },
];

export const serviceMigrations = (service: string): MigrationSet[] => migrationsOf(`apps/${service}`);

/** Brings the service's tables up to date; waits for the database if it is still starting. */
export async function untilMigrated(
  { service, databaseUrl }: ServiceConfig,
  logger: LoggerService,
  migrations: readonly MigrationSet[] = serviceMigrations(service),
): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (let waited = false; ; waited = true) {
    try {
      return await migrate(databaseUrl, migrations);
    } catch (error) {
      const { message, cause } = error as Error;
      const isTemporary = [error, cause].some((one) => isDatabaseUnavailable(one) || isContention(one));
      if (!isTemporary || performance.now() > giveUpAt) throw error;
      const wait = `waits for the database (up to ${PATIENCE_MS / 1000} s): ${message}${cause instanceof Error ? `: ${cause.message}` : ''}`;
      if (!waited) logger.warn(wait, 'Service');
      await sleep(500 + Math.random() * 500);
    }
  }
}

/** Connects the service to its queue. After `app.init()`: before, its reactions are not registered yet. */
export async function listenToEvents(app: INestApplication): Promise<void> {
  app.connectMicroservice({ strategy: app.get(InboxServer) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
}
