// What a measure, a case and a row of the table are.

/**
 * @typedef {object} Context
 * @property {import('./servers.mjs').Servers} servers
 * @property {boolean} quick
 * @property {(text: string) => void} tell what it is doing
 * @property {string} [node] the program that runs our services, if another one
 */

/** Figures by name; what is not a number is kept for the charts. @typedef {Record<string, any>} Figures */

/**
 * @typedef {object} Measure
 * @property {number} seconds that it takes, roughly
 * @property {(context: Context) => Promise<Figures>} run
 * @property {boolean} [golevelup] it needs that peer
 * @property {boolean} [otherNode] also measured with the Node.js of --node
 * @property {boolean} [once] per run, not per round
 */

/**
 * A line of the table: ours, and what it is measured by. Ratios are ours ÷ peer.
 * @typedef {object} Row
 * @property {string} label
 * @property {string} unit
 * @property {string} ours `measure.figure`
 * @property {string} [peer] `measure.figure`
 * @property {number} [atLeast] target for the ratio
 * @property {number} [atMost] target for the ratio
 * @property {number} [max] target for our figure itself
 * @property {boolean} [quick] also in a quick run
 */

/**
 * @typedef {object} Case
 * @property {string} name for --only
 * @property {string} title
 * @property {readonly Row[]} rows
 * @property {boolean} [quick]
 */

/** @param {string} figure */
export const measureOf = (figure) => figure.slice(0, figure.lastIndexOf('.'));

/** With the other Node.js. @param {string} figure or measure */
export const withOtherNode = (figure) => (figure.includes('.') ? figure.replace('.', '@node.') : `${figure}@node`);
