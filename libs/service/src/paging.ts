// Lists are read page by page: `{ items, nextCursor }`. A cursor says behind which item to go on, so that nothing is shown
// twice or left out when items are added meanwhile.
import { z } from 'zod';

/** One page of a list; `nextCursor` is `null` at its end. */
export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

/** The same for the documentation: `@ApiOkResponse({ standardSchema: pageOf(user) })`. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({
    items: z.array(item),
    nextCursor: z.string().nullable().meta({ description: 'Gets the next page; `null`: this is the last one.' }),
  });

/**
 * The query of a list: `limit` (1–100, default 20) and `cursor`, which arrives decoded, as the position of the last item seen.
 * Add filters with `.extend({ … })`. A cursor that does not hold a `position` is a 400 that names it.
 *
 * @param position schema of what the list is sorted by; unique, such as `z.uuid()` for time-ordered ids
 */
export const pageQuery = <Position extends z.ZodType<unknown, string>>(position: Position) =>
  z.strictObject({
    cursor: z
      .string()
      .max(1_000)
      .transform((cursor, context): z.output<Position> => {
        const text = decode(cursor);
        const result = text === undefined ? undefined : position.safeParse(text);
        if (result?.success) return result.data;
        context.addIssue({ code: 'custom', message: 'is not a cursor of this list', input: cursor });
        return z.NEVER;
      })
      .optional()
      .meta({ description: '`nextCursor` of the page before.' }),
    limit: z.coerce.number().int().min(1).max(100).default(20).meta({ description: 'Items per page.' }),
  });

/**
 * Makes a page of what was found.
 *
 * @param found up to `limit + 1` items: the one too many tells that there is a next page
 * @param positionOf what the list is sorted by, as text
 */
export function toPage<Item>(found: readonly Item[], limit: number, positionOf: (item: Item) => string): Page<Item> {
  const items = found.slice(0, limit);
  const last = found.length > limit ? items.at(-1) : undefined;
  return { items, nextCursor: last === undefined ? null : encode(positionOf(last)) };
}

const encode = (position: string): string => Buffer.from(position).toString('base64url');

/** Node ignores what is no base64url; here it must come out as it went in. */
function decode(cursor: string): string | undefined {
  const text = Buffer.from(cursor, 'base64url').toString();
  return encode(text) === cursor ? text : undefined;
}
