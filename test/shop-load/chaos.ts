// Kills the services and starts them again while there is load.
import { setTimeout as delay } from 'node:timers/promises';
import type { randomFrom } from '../faults/harness/random.mjs';
import type { ServiceName, Shop } from '../shop.js';

const LONGEST_ABSENCE_MS = 1_200;

/**
 * @param isDue whether it is time for the next one
 * @returns how often each service was killed or stopped
 */
export async function killAndRestart(
  shop: Shop,
  random: ReturnType<typeof randomFrom>,
  isDue: (kills: number) => 'yes' | 'not yet' | 'no more',
): Promise<Record<ServiceName, number>> {
  const kills = { users: 0, orders: 0 };
  for (;;) {
    const due = isDue(kills.users + kills.orders);
    if (due === 'no more') return kills;
    if (due === 'not yet') {
      await delay(50);
      continue;
    }
    const service = random.pick(['users', 'orders', 'orders'] as const);
    const absenceMs = random.below(LONGEST_ABSENCE_MS);
    await shop[service].stop(random.next() < 0.8 ? 'SIGKILL' : 'SIGTERM');
    kills[service] += 1;
    await delay(absenceMs);
    await shop.start(service, { doNotWait: true });
  }
}
