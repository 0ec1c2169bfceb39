// What subscriber and owner say to each other about the books. Requests expire and may be repeated. An answer repeats what
// it was asked, because it may come late: behind a backlog, after a restore, or next to a newer one.
import { z } from 'zod';

export const BOOKS_REQUEST = 'messaging.books.request';
export const BOOKS_ANSWER = 'messaging.books.answer';
export const CHUNK_REQUEST = 'messaging.chunk.request';
export const CHUNK_END = 'messaging.chunk.end';
export const CONTROL_CONTENT_TYPE = 'application/json';

const page = z.int().min(0);
const log = z.object({ aggregate: z.string(), epoch: z.uuid() });

/** "Show me your books": settled pages of these aggregates. */
export const booksRequest = z.object({
  /** The queue that the answer goes to. */
  queue: z.string(),
  /** Newer requests have larger ones. */
  id: z.uuid().optional(),
  aggregates: z.array(z.string()),
  /** What was compared already. Of epochs that are not named here, everything is new. */
  known: z.array(log.extend({ after: page })),
  /** Epochs that are held: not asked for. */
  held: z.array(z.uuid()),
});
export type BooksRequest = z.infer<typeof booksRequest>;

const booksPage = z.object({ page, recorded: z.int(), first: z.int(), last: z.int() });
/** The pages of one aggregate in one epoch, behind `after`. */
const booksGroup = log.extend({
  after: page,
  pages: z.array(booksPage),
  /** There are no more pages up to `published`. */
  complete: z.boolean(),
});
export const booksAnswer = z.object({
  /** Of the request. */
  id: z.uuid().optional(),
  source: z.string(),
  /** The epoch that events are recorded in now. */
  epoch: z.uuid(),
  /** Pages up to this one are settled. */
  settled: page,
  /** All events of the pages up to this one were published before this answer. */
  published: page,
  /** Positions that the broker refuses: neither they nor their streams behind them can be sent. The first thousand. */
  unpublishable: z.array(z.int()).optional(),
  groups: z.array(booksGroup),
});
export type BooksAnswer = z.infer<typeof booksAnswer>;
export type BooksGroup = z.infer<typeof booksGroup>;
export type BooksPage = z.infer<typeof booksPage>;

/** "Send me these events again": positions `after` < p ≤ `upTo`, of one aggregate and epoch. */
export const chunkRequest = log.extend({ queue: z.string(), after: z.int(), upTo: z.int() });
export type ChunkRequest = z.infer<typeof chunkRequest>;

/** Follows the events of a chunk: everything up to `reached` was sent. */
export const chunkEnd = chunkRequest.omit({ queue: true }).extend({ source: z.string(), reached: z.int() });
export type ChunkEnd = z.infer<typeof chunkEnd>;
