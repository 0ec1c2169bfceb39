// Ends a process in order: not ready, finish what runs, release what is held. A process that does not manage it in time says what hung.
import { isOfStatement } from '@app/database';
import type { LoggerService } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';

import type { ServiceConfig } from './config.js';
import { HealthRegistry } from './health.js';
import { RunningRequests } from './request.js';
import { watchShutdownHooks } from './shutdown-hooks.js';

/** The parts of `process` that a service uses. */
export type ServiceProcess = Pick<NodeJS.Process, 'env' | 'on' | 'exit' | 'loadEnvFile'>;

/** The share of the time-out that running requests get; the rest is for giving back connections. */
const REQUESTS_SHARE = 0.7;

/** Reacts to signals and to errors that nobody caught. */
export class Lifecycle {
  private app?: NestFastifyApplication;
  private stopping = false;

  constructor(
    private readonly config: ServiceConfig,
    private readonly logger: LoggerService,
    private readonly process: ServiceProcess,
  ) {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        this.stop(signal).catch((error: unknown) => this.fail('The shutdown failed', error));
      });
    }
    process.on('uncaughtException', (error) => this.fail('An error that nobody caught', error));
    process.on('unhandledRejection', (reason) => this.forgotten(reason));
  }

  /** From now on a signal closes the app; before, it just ends the process, which has nothing to finish yet. */
  started(app: NestFastifyApplication): void {
    this.app = app;
  }

  /** Nothing can be trusted any more; what was committed is safe, and the rest is done again after the restart. */
  fail(message: string, error?: unknown): void {
    const details = error === undefined ? [] : [error instanceof Error ? error : { thrown: error }];
    this.logger.fatal?.(message, ...details, 'Service');
    this.process.exit(1);
  }

  /** The transaction of a statement that failed unawaited was rolled back; behind any other error nothing is known. */
  private forgotten(reason: unknown): void {
    if (isOfStatement(reason)) this.logger.error('A statement failed that nobody awaited', reason, 'Service');
    else this.fail('A rejected promise that nobody awaited', reason);
  }

  private async stop(signal: string): Promise<void> {
    if (this.stopping) {
      this.logger.warn(`${signal} again: stops at once`, 'Service');
      return this.process.exit(1);
    }
    this.stopping = true;
    if (this.app === undefined) {
      this.logger.log(`${signal} during the start: stops`, 'Service');
      return this.process.exit(0);
    }
    this.logger.log(`${signal}: finishes what it is doing`, 'Service');
    this.app.get(HealthRegistry).shutDown();
    const timers = this.limitShutdown(this.app);
    await this.app.close();
    timers.forEach(clearTimeout);
    this.logger.log('stopped', 'Service');
    this.process.exit(0);
  }

  private limitShutdown(app: NestFastifyApplication): NodeJS.Timeout[] {
    const { shutdownTimeoutMs } = this.config;
    const requests = app.get(RunningRequests);
    const hooks = watchShutdownHooks(app);
    const breakOff = setTimeout(() => {
      const cut = requests.list();
      if (cut.length > 0) this.logger.warn(`Breaks off ${cut.length} requests that do not end: ${few(cut)}`, 'Service');
      app.getHttpServer().closeAllConnections();
    }, shutdownTimeoutMs * REQUESTS_SHARE);
    const giveUp = setTimeout(() => {
      const hung = few([...hooks(), ...requests.list()]) || 'connections that do not close';
      this.fail(`Not finished ${shutdownTimeoutMs} ms after the signal; gives up on: ${hung}`);
    }, shutdownTimeoutMs);
    return [breakOff, giveUp];
  }
}

const few = (items: string[]): string => items.slice(0, 10).join(', ') + (items.length > 10 ? ', …' : '');
