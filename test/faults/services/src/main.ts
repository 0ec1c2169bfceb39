// The services that the fault suite torments, built from the same libraries as the real ones. FAULTS_SERVICE chooses which:
// `producer` takes commands, `consumer` reacts and answers, any other name is one more consumer that answers nothing.
import 'reflect-metadata';
import './contracts.js';
import { projectFolder } from '@app/database';
import { messagingMigrations } from '@app/messaging';
import { bootstrap } from '@app/service';
import { ConsumerModule } from './consumer/consumer.module.js';
import { ProducerModule } from './producer/producer.module.js';

const service = process.env.FAULTS_SERVICE ?? 'producer';

await bootstrap({
  service,
  port: 0,
  title: service,
  description: 'A service of the fault suite.',
  module:
    service === 'producer'
      ? ProducerModule
      : ConsumerModule.of({ receipts: service === 'consumer', late: process.env.FAULTS_LATE }),
  migrations: [
    messagingMigrations,
    { name: 'faults', folder: projectFolder('test', 'faults', 'services', 'migrations') },
  ],
});
