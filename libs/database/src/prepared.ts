/**
 * Names for a statement that is prepared, and planned anew whenever it has run so many times as often as the last time: Postgres
 * keeps a plan that it made while a table was small (133 ms instead of 2 per batch of 500 at 10 000 streams), and never frees a
 * prepared statement, so there must not be too many.
 *
 * @param doublings 1: planned anew at twice as many runs; 3: at eight times as many
 */
export function preparedAs(name: string, doublings = 1): () => string {
  let runs = 0;
  return () => `${name}-${Math.ceil((32 - Math.clz32(runs++)) / doublings)}`;
}
