// Charts as plain SVG, legible on light and on dark pages.

const WIDTH = 760;
const LEFT = 300;
const RIGHT = 90;
const LINE = 26;

const STYLE = `<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f } .faint { fill: #6e7781 } .title { font-weight: 600 }
  .ours { fill: #2da44e } .peer { fill: #8c959f } .limit { fill: #bf8700 } .missed { fill: #cf222e }
  .axis { stroke: #d0d7de } .a { stroke: #2da44e } .b { stroke: #0969da } .curve { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .faint { fill: #8d96a0 } .axis { stroke: #3d444d } }
</style>`;

/** @param {string} text */
const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('`', '');

/** @param {string} title @param {number} height @param {string[]} body */
const svg = (
  title,
  height,
  body,
) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">
${STYLE}
<text class="title" x="8" y="20">${escape(title)}</text>
${body.join('\n')}
</svg>
`;

/**
 * Bars side by side, each with the range of its rounds.
 * @param {string} title
 * @param {{ label: string, kind: 'ours' | 'peer' | 'limit' | 'missed', value: number, low: number, high: number, text: string, mark?: number }[]} bars
 *   `mark`: the target
 */
export function barChart(title, bars) {
  const most = Math.max(...bars.flatMap(({ high, mark = 0 }) => [high, mark]));
  const x = (/** @type {number} */ value) => LEFT + (value / most) * (WIDTH - LEFT - RIGHT);
  const body = bars.flatMap(({ label, kind, value, low, high, text, mark }, index) => {
    const y = 36 + index * LINE;
    const middle = y + LINE / 2 - 4;
    return [
      `<text x="${LEFT - 8}" y="${y + 14}" text-anchor="end">${escape(label)}</text>`,
      `<rect class="${kind}" x="${LEFT}" y="${y}" width="${(x(value) - LEFT).toFixed(1)}" height="${LINE - 8}" rx="2"/>`,
      `<line class="axis" x1="${x(low).toFixed(1)}" x2="${x(high).toFixed(1)}" y1="${middle}" y2="${middle}" stroke-width="2"/>`,
      ...(mark === undefined
        ? []
        : [
            `<line class="b" x1="${x(mark).toFixed(1)}" x2="${x(mark).toFixed(1)}" y1="${y - 3}" y2="${y + LINE - 5}" stroke-width="2"/>`,
          ]),
      `<text class="faint" x="${(Math.max(x(value), x(high)) + 6).toFixed(1)}" y="${y + 14}">${escape(text)}</text>`,
    ];
  });
  return svg(title, 46 + bars.length * LINE, body);
}

/**
 * @param {string} title
 * @param {{ label: string, points: [number, number][] }[]} curves two at most
 * @param {{ x: string, y: string }} units
 */
export function lineChart(title, curves, units) {
  const [height, left, bottom] = [280, 60, 240];
  const points = curves.flatMap((curve) => curve.points);
  const [mostX, mostY] = [Math.max(...points.map(([x]) => x)), Math.max(...points.map(([, y]) => y)) * 1.1];
  const place = (/** @type {[number, number]} */ [x, y]) =>
    `${(left + (x / mostX) * (WIDTH - left - 140)).toFixed(1)},${(bottom - (y / mostY) * (bottom - 40)).toFixed(1)}`;
  const grid = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const y = bottom - share * (bottom - 40);
    return `<line class="axis" x1="${left}" x2="${WIDTH - 140}" y1="${y}" y2="${y}"/><text class="faint" x="${left - 6}" y="${y + 4}" text-anchor="end">${Math.round(mostY * share)}</text>`;
  });
  const drawn = curves.flatMap(({ label, points: own }, index) => {
    const kind = index === 0 ? 'a' : 'b';
    const last = own.at(-1) ?? [0, 0];
    const y = place(last).split(',')[1];
    return [
      `<polyline class="curve ${kind}" points="${own.map(place).join(' ')}"/>`,
      `<text x="${WIDTH - 132}" y="${y}">${escape(label)}</text>`,
    ];
  });
  const legend = `<text class="faint" x="${left}" y="${height - 14}">${escape(`${units.y} over ${units.x}, up to ${mostX.toLocaleString('en')}`)}</text>`;
  return svg(title, height, [...grid, ...drawn, legend]);
}
