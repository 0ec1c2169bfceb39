// Everything that `orders` tells. One line per event.
export { InventoryStatusChanged } from './inventory-status-changed.js';
export { OrderCancelled } from './order-cancelled.js';
export { OrderConfirmed } from './order-confirmed.js';
export { OrderDeadlinePassed } from './order-deadline-passed.js';
export { OrderPlaced } from './order-placed.js';
export { PaymentCompleted } from './payment-completed.js';
export { PaymentFailed } from './payment-failed.js';
export { PaymentRefunded } from './payment-refunded.js';
