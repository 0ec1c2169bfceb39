import { projectFolder, type MigrationSet } from '@app/database';

export { AwaitedEventBus, type Reaction } from './inbox/awaited-event-bus.js';
export { InboxServer } from './inbox/inbox-server.js';
export { MessagingModule } from './messaging.module.js';
export type { MessagingOptions, MessagingRole } from './options.js';
export { EventRefusedError, Outbox } from './outbox/outbox.js';
export { Relay } from './outbox/relay.js';

/** The tables of this library, for every service's own database. */
export const messagingMigrations: MigrationSet = {
  name: 'messaging',
  folder: projectFolder('libs', 'messaging', 'migrations'),
};
