import { Module, type DynamicModule, type FactoryProvider, type OnApplicationShutdown } from '@nestjs/common';
import { Database, type DatabaseOptions } from './database.js';

const DATABASE_OPTIONS = Symbol('DATABASE_OPTIONS');

class PooledDatabase extends Database implements OnApplicationShutdown {
  // The last hook of a shutdown: everybody who needs the database has finished by then.
  onApplicationShutdown = () => this.close();
}

/** Gives every class of the application the one `Database`. */
@Module({})
export class DatabaseModule {
  static forRootAsync(options: Pick<FactoryProvider<DatabaseOptions>, 'useFactory' | 'inject'>): DynamicModule {
    const database = {
      provide: Database,
      inject: [DATABASE_OPTIONS],
      useFactory: (given: DatabaseOptions) => new PooledDatabase(given),
    };
    return {
      module: DatabaseModule,
      global: true,
      providers: [{ provide: DATABASE_OPTIONS, ...options }, database],
      exports: [Database],
    };
  }
}
