import { JustRecorded, type Recorded } from './just-recorded.js';

const EPOCH = '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a10';
let position = 0;
const event = (subject: string, sequence: number, more: Partial<Recorded> = {}): Recorded => ({
  ...{ position: String(++position), id: `${subject} ${sequence}`, type: 'users.user.registered.v1', epoch: EPOCH },
  ...{ aggregate: 'users.user', subject, sequence: String(sequence), page: '1', time: '2026-11-30T00:00:00.000Z' },
  ...{ correlation_id: 'test', causation_id: null, traceparent: null, data: '{}', bytes: 100, ...more },
});

describe('JustRecorded', () => {
  let recorded: JustRecorded;
  beforeEach(() => (recorded = new JustRecorded()));
  const add = (...events: Recorded[]) => events.forEach((one) => recorded.add(one));
  const take = () => recorded.take()?.map(({ id }) => id);

  it('gives the first events of streams, and what follows what it gave, once', () => {
    add(event('ann', 1), event('bob', 1), event('ann', 2));
    expect(take()).toEqual(['ann 1', 'bob 1', 'ann 2']);
    expect(take()).toEqual([]);
    add(event('ann', 3));
    expect(take()).toEqual(['ann 3']);
  });

  it('gives them in the order of the log, whichever COMMIT was answered first', () => {
    const [first, second] = [event('ann', 1), event('ann', 2)];
    add(second, first);
    expect(take()).toEqual(['ann 1', 'ann 2']);
  });

  it('has all of them read if it does not know what comes before one', () => {
    add(event('bob', 1), event('ann', 2));
    expect(take()).toBeUndefined();
    expect(recorded.size).toBe(0);
    add(event('bob', 2)); // nothing was published of what it did not give
    expect(take()).toBeUndefined();
  });

  it('keeps lives of a log and aggregates apart', () => {
    add(event('ann', 1));
    take();
    add(event('ann', 2, { epoch: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11' }));
    expect(take()).toBeUndefined();
    add(event('ann', 2, { aggregate: 'users.account' }));
    expect(take()).toBeUndefined();
  });

  it('goes on behind what was read, and not behind what has to be read again', () => {
    recorded.published([event('ann', 4)]);
    add(event('ann', 5));
    expect(take()).toEqual(['ann 5']);
    recorded.forgetPublished();
    add(event('ann', 6));
    expect(take()).toBeUndefined();
  });

  it('forgets what is about to be read', () => {
    add(event('ann', 1), event('bob', 1));
    expect(recorded.clear().map(({ id }) => id)).toEqual(['ann 1', 'bob 1']);
    expect(take()).toEqual([]);
  });

  it('keeps few events, few bytes and few streams', () => {
    for (let i = 0; i < 64; i++) expect(recorded.add(event(`user ${i}`, 1))).toBe(true);
    expect(recorded.size).toBe(64);
    expect(recorded.add(event('one more', 1))).toBe(false);
    expect(recorded.size).toBe(0);

    add(event('large', 1, { bytes: 600_000 }), event('large', 2, { bytes: 600_000 }));
    expect(recorded.size).toBe(0);

    recorded.published([event('ann', 1), event('bob', 1)]);
    recorded.published(Array.from({ length: 998 }, (_, i) => event(`user ${i}`, 1)));
    recorded.published([event('ann', 2), event('carol', 1)]); // bob is the one that was used least recently
    add(event('ann', 3));
    expect(take()).toEqual(['ann 3']);
    add(event('bob', 2));
    expect(take()).toBeUndefined();
  });
});
