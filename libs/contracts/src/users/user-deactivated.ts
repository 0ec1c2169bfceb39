import { z } from 'zod';
import { event } from '../event.js';

/** An account was closed. */
export class UserDeactivated extends event('users.user.deactivated.v1', {
  subject: 'userId',
  data: { userId: z.uuid(), reason: z.string().max(500).optional() },
  personal: ['reason'],
  example: { userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11', reason: 'Moved away' },
}) {}
