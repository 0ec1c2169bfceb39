import { describe as words, retryDelay } from './item.js';

describe('retryDelay', () => {
  const middle = (attempts: number) => retryDelay(attempts, 0.5);

  it('grows from a second to half an hour', () => {
    expect([1, 2, 3, 4, 5].map(middle)).toEqual([1, 5, 30, 300, 1800]);
  });

  it('is an hour for three days, then there is none', () => {
    const later = Array.from({ length: 100 }, (_, i) => middle(6 + i));
    expect(later.filter((delay) => delay !== undefined)).toEqual(Array.from({ length: 72 }, () => 3600));
    expect(later[72]).toBeUndefined();
  });

  it('is jittered by ten percent each way, so that many events do not come back in step', () => {
    expect(retryDelay(4, 0)).toBe(270);
    expect(retryDelay(4, 1)).toBe(330);
    expect(new Set(Array.from({ length: 20 }, () => retryDelay(4))).size).toBeGreaterThan(1);
  });
});

describe('an error in words', () => {
  it('has the message, the first frames and every cause', () => {
    const error = new TypeError('cannot', { cause: new Error('because') });
    expect(words(error)).toMatch(/^TypeError: cannot\n\s+at [^]*\ncaused by Error: because/);
  });

  it('holds no NUL, whatever was thrown', () => {
    expect(words(new Error('a\0b'))).toContain('ab');
    expect(words('just text')).toBe('just text');
    expect(words(undefined)).toBe('undefined');
  });
});
