import { z } from 'zod';

/** What a membership is worth: the more points, the higher. */
export const tier = z.enum(['standard', 'silver', 'gold']);
export type Tier = z.infer<typeof tier>;
