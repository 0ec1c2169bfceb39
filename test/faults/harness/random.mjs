/** @typedef {ReturnType<typeof randomFrom>} Random */

/**
 * Random figures that repeat for the same seed (mulberry32).
 * @param {string | number} seed
 */
export function randomFrom(seed) {
  let state = [...String(seed)].reduce((hash, char) => Math.imul(hash ^ char.charCodeAt(0), 16777619), 2166136261) | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (/** @type {number} */ limit) => Math.floor(next() * limit);
  return {
    /** 0 ≤ x < 1 */
    next,
    /** 0 … limit − 1 */
    below,
    /** @template T @param {readonly T[]} items @returns {T} */
    pick: (items) => /** @type {T} */ (items[below(items.length)]),
    /** @template T @param {T[]} items */
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [items[i], items[j]] = [/** @type {T} */ (items[j]), /** @type {T} */ (items[i])];
      }
      return items;
    },
  };
}
