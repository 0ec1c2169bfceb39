/**
 * A Postgres array as the driver would write it, three times faster: for numbers and uuids, which need no quotes.
 * (The driver quotes and escapes every element; with some ten arrays per event this was 3 % of the inbox.)
 */
export const arrayOf = (values: readonly (number | string)[]): string => `{${values.join(',')}}`;
