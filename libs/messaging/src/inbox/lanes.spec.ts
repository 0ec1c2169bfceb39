import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { Lanes } from './lanes.js';

interface Work {
  keys: string[] | undefined;
  ticks: number;
  fails: boolean;
}

const work: fc.Arbitrary<Work> = fc.record({
  keys: fc.option(fc.subarray(['a', 'b', 'c', 'd']), { nil: undefined, freq: 5 }),
  ticks: fc.integer({ min: 0, max: 5 }),
  fails: fc.boolean(),
});

/** Runs all work at once; tells when each piece began and ended. */
async function run(pieces: readonly Work[]) {
  const lanes = new Lanes();
  let clock = 0;
  const times = pieces.map(() => ({ began: -1, ended: -1 }));
  let running = 0;
  let most = 0;
  const all = pieces.map(({ keys, ticks, fails }, i) =>
    lanes.run(keys, async () => {
      times[i]!.began = clock++;
      most = Math.max(most, ++running);
      for (let n = 0; n < ticks; n++) await tick();
      running--;
      times[i]!.ended = clock++;
      if (fails) throw new Error(`piece ${i}`);
      return i;
    }),
  );
  return { results: await Promise.allSettled(all), times, most };
}

const inEachOthersWay = (one: Work, other: Work): boolean =>
  !one.keys || !other.keys || one.keys.some((key) => other.keys!.includes(key));

describe('lanes', () => {
  it('run work that is in each other’s way in the order given, one after the other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(work, { maxLength: 20 }), async (pieces) => {
        const { times } = await run(pieces);
        pieces.forEach((later, j) =>
          pieces.slice(0, j).forEach((earlier, i) => {
            if (inEachOthersWay(earlier, later)) expect(times[i]!.ended).toBeLessThan(times[j]!.began);
          }),
        );
      }),
    );
  });

  it('run everything, once, and hand each caller its own result or error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(work, { maxLength: 20 }), async (pieces) => {
        const { results } = await run(pieces);
        results.forEach((result, i) => {
          if (pieces[i]!.fails) expect(result).toMatchObject({ status: 'rejected', reason: { message: `piece ${i}` } });
          else expect(result).toEqual({ status: 'fulfilled', value: i });
        });
      }),
    );
  });

  it('overlap what has no key in common', async () => {
    const pieces = ['a', 'b', 'c', 'd'].map((key) => ({ keys: [key], ticks: 2, fails: false }));
    expect((await run(pieces)).most).toBe(4);
  });

  it('run work without keys alone', async () => {
    const pieces: Work[] = [['a'], undefined, ['b'], undefined].map((keys) => ({ keys, ticks: 2, fails: false }));
    expect((await run(pieces)).most).toBe(1);
  });
});
