/** @param {number} share */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** With thin groups of three digits and as many decimals as mean something. @param {number} value */
export function number(value) {
  if (!Number.isFinite(value)) return '–';
  const text = value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
  return text.replace(/\B(?=(\d{3})+(?!\d)(?<!\.\d*))/g, ' ');
}

/** @param {number} value */
export const times = (value) => (Number.isFinite(value) ? `${value.toFixed(2)} ×` : '–');

/** @param {number} seconds */
export const duration = (seconds) =>
  seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
