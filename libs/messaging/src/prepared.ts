/**
 * Names for a statement that is prepared, and planned anew whenever it has run twice as often as the last time. Planning a
 * statement of the inbox costs as much as running it for a few events; but a plan that was made while a table was small would
 * stay (133 ms per batch of 500 at 10 000 streams).
 */
export function preparedAs(name: string): () => string {
  let runs = 0;
  return () => `${name}-${32 - Math.clz32(runs++)}`;
}
