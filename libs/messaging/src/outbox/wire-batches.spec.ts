import fc from 'fast-check';
import { wireBatches, type Outgoing } from './wire-batches.js';

const KIB = 1024;

const log: fc.Arbitrary<Outgoing[]> = fc
  .array(
    fc.record({
      type: fc.constantFrom(
        'users.user.registered.v1',
        'users.user.renamed.v1',
        'users.user.left.v1',
        'users.team.made.v1',
      ),
      subject: fc.constantFrom('1', '2', '3', '4'),
      bytes: fc.oneof(fc.integer({ min: 1, max: 4 * KIB }), fc.integer({ min: 1, max: 256 * KIB })),
    }),
    { maxLength: 250, size: 'max' },
  )
  .map((events) => events.map((event, i) => ({ ...event, position: String(i + 1), id: `id-${i + 1}` })));

const streamOf = ({ type, subject }: Outgoing) => `${type.split('.').slice(0, 2).join('.')}/${subject}`;
const event = (type: string, subject: string, bytes = 100): Outgoing => ({
  type,
  subject,
  bytes,
  position: '1',
  id: '1',
});

describe('wireBatches', () => {
  it('sends every event once', () => {
    fc.assert(
      fc.property(log, (events) => {
        const sent = wireBatches(events).flat();
        expect(sent.map(({ position }) => Number(position)).sort((a, b) => a - b)).toEqual(events.map((_, i) => i + 1));
      }),
    );
  });

  it('keeps the order of each stream, whatever is put together', () => {
    fc.assert(
      fc.property(log, (events) => {
        const last = new Map<string, number>();
        for (const sent of wireBatches(events).flat()) {
          expect(Number(sent.position)).toBeGreaterThan(last.get(streamOf(sent)) ?? 0);
          last.set(streamOf(sent), Number(sent.position));
        }
      }),
    );
  });

  it('makes messages of one type, of at most 100 events and 128 KiB, unless one event alone is larger', () => {
    fc.assert(
      fc.property(log, (events) => {
        for (const message of wireBatches(events)) {
          expect(message.length).toBeGreaterThan(0);
          expect(message.length).toBeLessThanOrEqual(100);
          expect(new Set(message.map(({ type }) => type)).size).toBe(1);
          const bytes = message.reduce((sum, one) => sum + one.bytes, 0);
          if (message.length > 1) expect(bytes).toBeLessThanOrEqual(128 * KIB);
        }
      }),
    );
  });

  it('puts together what can be, so that a backlog costs few messages', () => {
    const backlog = Array.from({ length: 1_000 }, (_, i) => event(i % 2 ? 'a.b.c.v1' : 'a.d.e.v1', String(i)));
    expect(wireBatches(backlog)).toHaveLength(10);
  });

  it('closes the batch that holds a stream before an event of another type follows in it', () => {
    const [one, two, three] = [event('a.b.made.v1', '1'), event('a.b.left.v1', '1'), event('a.b.made.v1', '2')];
    expect(wireBatches([one, two, three])).toEqual([[one], [two], [three]]);
  });
});
