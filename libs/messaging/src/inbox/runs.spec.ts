import fc from 'fast-check';
import type { Planned } from './reaction-runner.js';
import { runsOf } from './runs.js';

const planned = (type: string, subject: string, takesMany = true): Planned => ({
  item: { envelope: { kind: 'foreign', specversion: '1.0', id: subject, source: 's', type } },
  route: { kind: 'react', handler: () => Promise.resolve(), event: {}, keys: [], takesMany } as never,
});
const canJoin = ({ route }: Planned) => route.takesMany;
const typesOf = (runs: Planned[][]) => runs.map((run) => run.map(({ item }) => item.envelope.type).join(''));

describe('runsOf', () => {
  it('gathers the events of a type, whatever stands between them', () => {
    const events = [planned('a', '1'), planned('b', '2'), planned('a', '3'), planned('b', '4')];
    expect(typesOf(runsOf(events, canJoin))).toEqual(['aa', 'bb']);
  });

  it('keeps the order of a stream whose types alternate', () => {
    const events = [planned('a', '1'), planned('b', '1'), planned('a', '1')];
    expect(typesOf(runsOf(events, canJoin))).toEqual(['a', 'b', 'a']);
  });

  it('starts what goes alone behind its predecessors and in front of its successors', () => {
    const events = [planned('a', '1'), planned('a', '2'), planned('x', '1', false), planned('a', '1')];
    expect(typesOf(runsOf(events, canJoin))).toEqual(['aa', 'x', 'a']);
  });

  it('loses nothing and never changes the order within a stream', () => {
    const event = fc.record({
      type: fc.constantFrom('a', 'b', 'c'),
      subject: fc.constantFrom('1', '2', '3'),
      many: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (list) => {
        const events = list.map(({ type, subject, many }) => planned(type, subject, many));
        const after = runsOf(events, canJoin).flat();
        expect(after).toHaveLength(events.length);
        for (const subject of ['1', '2', '3']) {
          const ofStream = ({ item }: Planned) => item.envelope.id === subject;
          expect(after.filter(ofStream)).toEqual(events.filter(ofStream));
        }
      }),
    );
  });
});
