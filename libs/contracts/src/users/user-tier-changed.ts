import { z } from 'zod';
import { event } from '../event.js';
import { tier } from './tier.js';

/** A member has collected enough points for another tier. */
export class UserTierChanged extends event('users.user.tier-changed.v1', {
  subject: 'userId',
  data: { userId: z.uuid(), from: tier, to: tier, points: z.int().min(0) },
  example: { userId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11', from: 'standard', to: 'silver', points: 1_020 },
}) {}
