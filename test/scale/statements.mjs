// What statements have cost, by pg_stat_statements, planning included.

/** @typedef {{ query: string, calls: number, ms: number, meanMs: number, maxMs: number, blocks: number }} Statement */
/** @typedef {import('./system.mjs').System} System */

/** What a look at the books consists of: the subscriber's account, and its owner's answer and pages. */
export const SUBSCRIBER = /inbox_sources|inbox_books|inbox_gaps|inbox_holds/;
export const OWNER = /messaging\.pages|messaging\.page\b|messaging\.epochs|settled_page|pg_stat_activity/;
/** These mention the same tables: recording an event, and the workers' look for parked ones. */
const OTHERS = /insert into messaging\.outbox|from messaging\.parked_events p\b|with recursive head/;

/** @param {System} system */
export async function forget(system) {
  await system.rows('users', 'select pg_stat_statements_reset()');
}

/** The statements in the database of a service since {@link forget}. @param {System} system @param {string} service @returns {Promise<Statement[]>} */
export function statementsOf(system, service) {
  return system.rows(
    service,
    `select query, calls::float8 as calls, total_exec_time + total_plan_time as ms,
            (total_exec_time + total_plan_time) / calls as "meanMs", max_exec_time + max_plan_time as "maxMs",
            (shared_blks_hit + shared_blks_read) / calls::float8 as blocks
     from pg_stat_statements
     where dbid = (select oid from pg_database where datname = current_database()) and query not like '%pg_stat_statements%'
     order by ms desc`,
  );
}

/** @param {readonly Statement[]} statements @param {RegExp} pattern */
export const those = (statements, pattern) =>
  statements.filter(({ query }) => pattern.test(query) && !OTHERS.test(query));

/** @param {readonly Statement[]} statements */
export const total = (statements) => statements.reduce((sum, { ms }) => sum + ms, 0);

/** The most expensive ones, as lines. @param {readonly Statement[]} statements @param {number} [count] */
export function table(statements, count = 12) {
  const line = (/** @type {Statement} */ { query, calls, meanMs, maxMs, blocks }) =>
    [
      String(calls).padStart(8),
      meanMs.toFixed(2).padStart(9),
      maxMs.toFixed(1).padStart(9),
      blocks.toFixed(0).padStart(8),
      `  ${query.replaceAll(/\s+/g, ' ').trim().slice(0, 100)}`,
    ].join('');
  return ['   calls  mean ms   max ms  blocks  statement', ...statements.slice(0, count).map(line)].join('\n');
}
