import { z } from 'zod';
import { event } from '../event.js';
import { sku, stockStatus } from './fields.js';

/** A product has become scarce, sold out, or plentiful again. */
export class InventoryStatusChanged extends event('orders.inventory.status-changed.v1', {
  subject: 'sku',
  data: { sku, previous: stockStatus, status: stockStatus, available: z.int().min(0) },
  example: { sku: 'teapot', previous: 'in-stock', status: 'low-stock', available: 4 },
}) {}
