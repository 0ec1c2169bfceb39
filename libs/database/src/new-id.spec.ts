import { validate, version } from 'uuid';
import { newId } from './new-id.js';

describe('newId', () => {
  afterEach(() => jest.restoreAllMocks());

  it('makes UUIDs of version 7, of which no two are the same, in order', () => {
    const ids = Array.from({ length: 20_000 }, newId);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual([...ids].sort());
    expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  });

  it('keeps the order when the clock goes back', () => {
    const before = newId();
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
    const after = newId();
    expect(after > before).toBe(true);
  });

  it('tells when it was made', () => {
    const now = Date.now() + 10_000;
    jest.spyOn(Date, 'now').mockReturnValue(now);
    expect(parseInt(newId().replaceAll('-', '').slice(0, 12), 16)).toBe(now);
  });
});
