import { eventually } from './eventually.js';

describe('eventually', () => {
  it('returns what the assertion returns once it holds', async () => {
    let calls = 0;
    const result = await eventually(
      () => {
        if (++calls < 3) throw new Error('not yet');
        return 'held';
      },
      { intervalMs: 1 },
    );
    expect(result).toBe('held');
    expect(calls).toBe(3);
  });

  it('says how long it waited and why in vain', async () => {
    const never = () => Promise.reject(new Error('2 rows, not 3'));
    await expect(eventually(never, { timeoutMs: 30, intervalMs: 5 })).rejects.toThrow(
      /still failing after 0\.\d s: 2 rows, not 3/,
    );
  });
});
