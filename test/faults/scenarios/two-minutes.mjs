/**
 * What the books promise, with the intervals that services have unless they are told otherwise. Other scenarios balance every
 * second, which takes less time, but hides it if more looks are needed than should be.
 */
export const withinTwoMinutes = {
  notice: 'What was lost arrives within two minutes, without anybody’s help.',
  target: 120,
  seconds: 50,
  books: /** @type {const} */ ('by default'),
};
