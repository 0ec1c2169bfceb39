import type { Generated } from 'kysely';

/** The tables of this service, as its migrations make them. */
export interface UsersTables {
  users: { id: string; name: string; email: string; registered_at: Generated<Date> };
}
