import { Latest } from './latest.js';

describe('Latest', () => {
  it('remembers as many as it should, and not everything', () => {
    const latest = new Latest(100);
    for (let n = 0; n < 1_000; n++) latest.add([String(n)]);
    const known = Array.from({ length: 1_000 }, (_, n) => n).filter((n) => latest.has(String(n)));
    expect(known).toEqual(expect.arrayContaining(Array.from({ length: 100 }, (_, i) => 900 + i)));
    expect(known.length).toBeLessThanOrEqual(200);
  });
});
