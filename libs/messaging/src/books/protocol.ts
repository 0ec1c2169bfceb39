// What subscriber and owner say to each other about the books. Requests expire and may be repeated; answers are idempotent.
import { z } from 'zod';

export const BOOKS_REQUEST = 'messaging.books.request';
export const BOOKS_ANSWER = 'messaging.books.answer';
export const CHUNK_REQUEST = 'messaging.chunk.request';
export const CHUNK_END = 'messaging.chunk.end';
export const CONTROL_CONTENT_TYPE = 'application/json';

const page = z.int().min(0);

/** "Show me your books": settled pages of these aggregates behind `after`. */
export const booksRequest = z.object({
  /** The queue that the answer goes to. */
  queue: z.string(),
  aggregates: z.array(z.object({ aggregate: z.string(), after: page })),
});
export type BooksRequest = z.infer<typeof booksRequest>;

export const booksAnswer = z.object({
  source: z.string(),
  /** The epoch that events are recorded in now. */
  epoch: z.uuid(),
  /** Pages up to this one are settled, and all their events were published before this answer. */
  settled: page,
  pages: z.array(
    z.object({
      page,
      epoch: z.uuid(),
      aggregate: z.string(),
      recorded: z.int(),
      first: z.int(),
      last: z.int(),
    }),
  ),
  /** More pages follow than fit into one answer. */
  more: z.boolean(),
});
export type BooksAnswer = z.infer<typeof booksAnswer>;
export type BooksPage = BooksAnswer['pages'][number];

/** "Send me these events again": positions `after` < p ≤ `upTo`, of one aggregate and epoch. */
export const chunkRequest = z.object({
  queue: z.string(),
  epoch: z.uuid(),
  aggregate: z.string(),
  after: z.int(),
  upTo: z.int(),
});
export type ChunkRequest = z.infer<typeof chunkRequest>;

/** Follows the events of a chunk: everything up to `reached` was sent. */
export const chunkEnd = chunkRequest.omit({ queue: true }).extend({ source: z.string(), reached: z.int() });
export type ChunkEnd = z.infer<typeof chunkEnd>;
