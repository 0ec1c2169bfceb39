/**
 * What the books promise, with the intervals that services have unless they are told otherwise. Where nothing else depends on
 * the time, other scenarios balance every second: that proves as much and takes less of it.
 */
export const withinTwoMinutes = {
  notice: 'What was lost arrives within two minutes, without anybody’s help.',
  target: 120,
  seconds: 50,
  books: /** @type {const} */ ('by default'),
};
