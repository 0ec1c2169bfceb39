import type { Tier } from '@app/contracts';
import type { Generated, Selectable } from 'kysely';

/** The tables of this service, as its migrations make them. */
export interface UsersTables {
  users: {
    id: string;
    name: string;
    email: string;
    status: Generated<'active' | 'deactivated'>;
    points: Generated<number>;
    tier: Generated<Tier>;
    version: Generated<number>;
    registered_at: Generated<Date>;
  };
  notifications: {
    id: Generated<string>;
    user_id: string;
    order_id: string;
    kind: 'order-placed' | 'order-confirmed' | 'order-cancelled';
    text: string;
    at: Generated<Date>;
  };
}

export type UserRow = Selectable<UsersTables['users']>;
