export {
  contractOf,
  event,
  InvalidEventError,
  parseEventType,
  type AnyEventClass,
  type EventClass,
  type EventDefinition,
} from './event.js';
export { contracts, findContract, registerContracts } from './registry.js';
export * from './users/index.js';
