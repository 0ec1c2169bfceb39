import fc from 'fast-check';
import { z } from 'zod';
import { pageQuery, toPage } from './paging.js';

const query = pageQuery(z.string().regex(/^\d+$/));
const cursorOf = (position: string) => toPage([position, ''], 1, (item) => item).nextCursor;

describe('a page', () => {
  it('has a cursor only if there is more', () => {
    expect(toPage(['a', 'b', 'c'], 2, (item) => item)).toEqual({ items: ['a', 'b'], nextCursor: expect.any(String) });
    expect(toPage(['a', 'b'], 2, (item) => item)).toEqual({ items: ['a', 'b'], nextCursor: null });
    expect(toPage([], 2, String)).toEqual({ items: [], nextCursor: null });
  });

  it('leads to the next one, and so to every item once', () => {
    const numbers = fc.uniqueArray(fc.nat(), { maxLength: 50 }).map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 100 }), (all, limit) => {
        const seen: number[] = [];
        let cursor: string | null | undefined;
        do {
          const page = query.parse({ limit: String(limit), ...(cursor && { cursor }) });
          const rest = all.filter((n) => page.cursor === undefined || n > Number(page.cursor));
          const { items, nextCursor } = toPage(rest.slice(0, page.limit + 1), page.limit, String);
          seen.push(...items);
          cursor = nextCursor;
        } while (cursor !== null);
        expect(seen).toEqual(all);
      }),
    );
  });
});

describe('the query of a list', () => {
  it('asks for 20 items from the beginning, unless told otherwise', () => {
    expect(query.parse({})).toEqual({ limit: 20 });
    expect(query.parse({ limit: '100', cursor: cursorOf('7') })).toEqual({ limit: 100, cursor: '7' });
  });

  it.each(['', 'x', '7', '****', cursorOf('seven')!, `${cursorOf('7')}=`, `${cursorOf('7')}\n`, 'x'.repeat(1_001)])(
    'does not take the cursor %j',
    (cursor) => {
      expect(query.safeParse({ cursor }).error?.issues).toMatchObject([{ path: ['cursor'] }]);
    },
  );

  it.each(['0', '101', '-1', '1.5', 'all', ''])('does not take the limit %j', (limit) => {
    expect(query.safeParse({ limit }).error?.issues).toMatchObject([{ path: ['limit'] }]);
  });

  it('takes filters, and nothing that it does not know', () => {
    const filtered = query.extend({ email: z.string().optional() });
    expect(filtered.parse({ email: 'a' })).toEqual({ email: 'a', limit: 20 });
    expect(filtered.safeParse({ page: '2' }).success).toBe(false);
  });
});
