import type { Generated } from 'kysely';

/** The tables of the fault suite's services, as their migration makes them. */
export interface FaultsTables {
  commands: { id: string; account_id: string };
  accounts: { id: string; balance: number; version: number; receipts: number };
  effects: {
    seq: Generated<string>;
    consumer: string;
    reaction: string;
    event_id: string;
    type: string;
    source: string;
    epoch: string | null;
    aggregate: string;
    subject: string;
    sequence: number | null;
    position: number | null;
  };
  totals: { bucket: string; amount: number; events: number };
  repaired: { flag: string };
}
