/** Part of pg, but not of its types. */
declare module 'pg/lib/utils.js' {
  const utils: {
    /** A parameter as Postgres takes it; throws if it cannot be sent. */
    prepareValue(value: unknown): string | Buffer | null;
  };
  export default utils;
}
