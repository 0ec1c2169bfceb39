import { setFlagsFromString } from 'node:v8';
import type { MigrationSet } from '@app/database';
import { Logger, type DynamicModule, type LoggerService, type Type } from '@nestjs/common';
import { ConfigurationError, loadConfig, portVariable, type ServiceConfig } from './config.js';
import { createHttpApp } from './http-app.js';
import { Lifecycle, type ServiceProcess } from './lifecycle.js';
import { createLogger } from './logging.js';
import type { About } from './openapi.js';
import { listenToEvents, untilMigrated } from './start-steps.js';
import type { ServiceDefaults } from './variables.js';

/** What makes one service different from another. */
export interface ServiceOptions extends About, ServiceDefaults {
  /** Name of the service; its variables begin with it: `users` → `USERS_PORT`. */
  service: string;
  /** The port if `<SERVICE>_PORT` does not say otherwise. */
  port: number;
  module: Type | DynamicModule;
  /** Its tables; default: those of messaging and of HTTP, and the files in `apps/<service>/migrations`. */
  migrations?: readonly MigrationSet[];
}

/** `EX_CONFIG` of sysexits.h. */
const EXIT_CONFIGURATION = 78;

/**
 * The whole life of a service process: configuration, start, signals, exit code. `.env` in the working directory fills in
 * what the environment does not set. Exits with 0 after SIGTERM or SIGINT and an orderly end, with 78 if the configuration is
 * wrong, with 1 for everything else.
 */
export async function bootstrap(options: ServiceOptions, process: ServiceProcess = globalThis.process): Promise<void> {
  collectGarbageInTime();
  const config = configuration(options, process);
  if (config === undefined) return;
  const logger: LoggerService = createLogger(config);
  Logger.overrideLogger(logger);
  const lifecycle = new Lifecycle(config, logger, process);
  try {
    await untilMigrated(config, logger, options.migrations);
    const app = await createHttpApp(options.module, config, options);
    await app.init();
    await listenToEvents(app);
    await app.listen(config.port, config.host);
    lifecycle.started(app);
    logger.log(`answers at ${await app.getUrl()}, documentation at /docs`, 'Service');
  } catch (error) {
    lifecycle.fail(...startFailure(error, config));
  }
}

/** What V8 guesses wrongly of a service whose objects live as long as a statement or a batch; measured in ADR 7 and 8. */
function collectGarbageInTime(): void {
  // It takes them for long-lived, puts them where only large collections come, and so keeps all that they refer to: small
  // collections took 7 ms instead of 2, twice a second at 200 events/s, and made one event in a hundred late.
  setFlagsFromString('--no-allocation-site-pretenuring');
  // It lets the heap grow to three times what is alive before a large collection: an inbox that drains a backlog had 330 MB.
  setFlagsFromString('--heap-growing-percent=70');
}

function configuration(
  { service, port, variables }: ServiceOptions,
  process: ServiceProcess,
): ServiceConfig | undefined {
  try {
    loadDotEnv(process);
    return loadConfig(service, { port, variables }, process.env);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    console.error(error.message);
    process.exit(EXIT_CONFIGURATION);
    return undefined;
  }
}

function loadDotEnv(process: ServiceProcess): void {
  try {
    process.loadEnvFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** The ordinary mistakes get a sentence with the remedy; everything else its stack. */
function startFailure(error: unknown, { service, host, port }: ServiceConfig): [string, unknown?] {
  const variable = portVariable(service);
  switch ((error as NodeJS.ErrnoException | null)?.code) {
    case 'EADDRINUSE':
      return [`Port ${port} on ${host} is taken. Stop the program that uses it, or set ${variable} to a free port.`];
    case 'EACCES':
      return [`Port ${port} needs more rights than this process has. Set ${variable} to a port above 1023.`];
    case 'EADDRNOTAVAIL':
      return [`This machine has no address ${host}. Set HOST to one of its own, such as 127.0.0.1 or 0.0.0.0.`];
    default:
      return [`${service} cannot start`, error];
  }
}
