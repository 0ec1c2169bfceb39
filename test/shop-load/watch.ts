import { setTimeout as delay } from 'node:timers/promises';

/** Looks again and again, until it is told to end. */
export function watch(look: () => Promise<string[]>): { end(): Promise<{ looks: number; problems: string[] }> } {
  const problems: string[] = [];
  let looks = 0;
  let watching = true;
  const watched = (async () => {
    while (watching) {
      problems.push(...(await look()));
      looks += 1;
      await delay(250);
    }
  })();
  watched.catch(() => {}); // whoever ends it hears of it
  return {
    end: async () => {
      watching = false;
      await watched;
      return { looks, problems };
    },
  };
}
