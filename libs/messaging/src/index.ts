import { projectFolder, type MigrationSet } from '@app/database';

export { AwaitedEventBus, type BatchReaction, type Reaction } from './inbox/awaited-event-bus.js';
export { becauseOf } from './inbox/because-of.js';
export { InboxServer } from './inbox/inbox-server.js';
export type { LeavesEventsAlone } from './inbox/plain-methods.js';
export { MessagingModule } from './messaging.module.js';
export * as operations from './operations/index.js';
export { OperationsDatabase, Pauses } from './operations/pauses.js';
export { ReplayServer } from './books/replay-server.js';
export type { MessagingOptions, MessagingRole } from './options.js';
export { storable } from './cloud-event.js';
export { Outbox } from './outbox/outbox.js';
export { EventRefusedError, EventTooLargeError } from './outbox/recordable.js';
export { Relay } from './outbox/relay.js';
export { listUnpublishable, releaseUnpublishable, type Unpublishable } from './outbox/unpublishable.js';
export {
  listFailedTimers,
  retryTimer,
  timerStatus,
  type FailedTimer,
  type TimerStatus,
} from './timers/timer-status.js';
export { TimerWorker } from './timers/timer-worker.js';
export { Timers, type Due } from './timers/timers.js';

/** The tables of this library, for every service's own database. */
export const messagingMigrations: MigrationSet = {
  name: 'messaging',
  folder: projectFolder('libs', 'messaging', 'migrations'),
};
