import { Database } from '@app/database';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { ServiceConfig } from './config.js';

/** Connections of its own, opened when they are needed, that may take their time: an inbox is rebuilt in one transaction. */
@Injectable()
export class OpsDatabase extends Database implements OnApplicationShutdown {
  constructor({ databaseUrl: url, service }: ServiceConfig) {
    super({ url, applicationName: `${service} ops`, poolSize: 2, statementTimeoutMs: 600_000 });
  }

  onApplicationShutdown = (): Promise<void> => this.close();
}
