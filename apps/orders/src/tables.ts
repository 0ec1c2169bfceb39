import type { Generated } from 'kysely';

/** The tables of this service, as its migrations make them. */
export interface OrdersTables {
  customers: { user_id: string; name: string; email: string; known_since: Generated<Date> };
}
