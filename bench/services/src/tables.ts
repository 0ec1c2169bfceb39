import type { Generated } from 'kysely';
import type { Item } from './contracts.js';

/** As the migration makes them. */
export interface BenchTables {
  items: { seq: Generated<string>; item_id: string; version: number; bucket: number; amount: number; note: string };
  entries: { seq: Generated<string>; item_id: string; version: number; amount: number; note: string };
  totals: { bucket: number; amount: number; events: number };
}

export const entryOf = ({ itemId, version, amount, note }: Item) => ({ item_id: itemId, version, amount, note });
