import fc from 'fast-check';
import { Outcomes } from './kill-switch.js';

const add = (outcomes: Outcomes, from: number, to: number, failed: boolean) => {
  let tripped = false;
  for (let i = from; i < to; i++) tripped = outcomes.add(`e${i}`, failed);
  return tripped;
};

describe('the outcomes of a reaction', () => {
  it('are too bad when more than half of the last 100 events failed', () => {
    const outcomes = new Outcomes();
    expect(add(outcomes, 0, 50, true)).toBe(false);
    expect(outcomes.add('e50', true)).toBe(true);
  });

  it('forget what is longer ago than 100 events', () => {
    const outcomes = new Outcomes();
    add(outcomes, 0, 50, true);
    add(outcomes, 50, 130, false); // 20 failures are left among the last 100
    expect(outcomes.failures).toBe(20);
    expect(add(outcomes, 130, 150, true)).toBe(false);
    expect([outcomes.failures, outcomes.events]).toEqual([20, 100]);
  });

  it('count an event once, however often it is tried', () => {
    const outcomes = new Outcomes();
    for (let i = 0; i < 200; i++) expect(outcomes.add('poison', true)).toBe(false);
    expect([outcomes.failures, outcomes.events]).toEqual([1, 1]);
    outcomes.add('poison', false);
    expect([outcomes.failures, outcomes.events]).toEqual([0, 1]);
  });

  it('agree with counting by hand', () => {
    const run = fc.record({ event: fc.integer({ min: 0, max: 150 }), failed: fc.boolean() });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 400 }), (runs) => {
        const outcomes = new Outcomes();
        let last: { event: number; failed: boolean }[] = [];
        for (const it of runs) {
          const tripped = outcomes.add(String(it.event), it.failed);
          last = [...last.filter(({ event }) => event !== it.event), it].slice(-100);
          const failures = last.filter(({ failed }) => failed).length;
          expect([outcomes.failures, outcomes.events, tripped]).toEqual([failures, last.length, failures > 50]);
        }
      }),
    );
  });
});
