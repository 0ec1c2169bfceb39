import { z } from 'zod';
import { event } from '../event.js';

/** Somebody has another name or e-mail address; both are told as they are now. */
export class UserProfileChanged extends event('users.user.profile-changed.v1', {
  subject: 'userId',
  data: { userId: z.uuid(), name: z.string().min(1).max(200), email: z.email().max(254) },
  personal: ['name', 'email'],
  example: { userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11', name: 'Alice Liddell', email: 'alice@example.com' },
}) {}
