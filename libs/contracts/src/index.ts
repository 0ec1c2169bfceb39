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
export { currency, sku, type StockStatus } from './orders/fields.js';
export * from './orders/index.js';
export * from './users/index.js';
export { tier, type Tier } from './users/tier.js';
