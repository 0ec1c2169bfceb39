import { styleText } from 'node:util';

const isTerminal = process.stdout.isTTY === true;
const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/** @type {Map<string, { since: number, progress: string }>} */
const running = new Map();
let frame = 0;
let ended = false;
/** @type {NodeJS.Timeout | undefined} */
let spinner;

/**
 * @param {Parameters<typeof styleText>[0]} style
 * @param {string} text
 */
export const colour = (style, text) => (isTerminal && !process.env.NO_COLOR ? styleText(style, text) : text);

/** @param {number} since */
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

/**
 * Does a step and prints one line about it: what, how long, and what came of it. On a terminal, a line below shows what is
 * being done at the moment.
 * @template T
 * @param {string} title
 * @param {(tell: { note: (line: string) => void, progress: (text: string) => void, result: (text: string) => void }) => Promise<T>} work
 *   `note` prints a line, `progress` changes the moving line, `result` is added to the final line
 * @returns {Promise<T>}
 */
export async function step(title, work) {
  const state = { since: performance.now(), progress: '' };
  let outcome = '';
  running.set(title, state);
  spin();
  const sign = tellThatItTakesLong(title, state);
  const tell = {
    note: (/** @type {string} */ line) => print(colour('gray', `  ${title}: ${line}`)),
    progress: (/** @type {string} */ text) => void (state.progress = text),
    result: (/** @type {string} */ text) => void (outcome = text),
  };
  try {
    const value = await work(tell);
    running.delete(title);
    if (!ended)
      print(
        `${colour('green', '✓')} ${title}${outcome && `: ${outcome}`} ${colour('gray', `(${seconds(state.since)})`)}`,
      );
    return value;
  } catch (error) {
    running.delete(title);
    throw error;
  } finally {
    clearInterval(sign);
    if (running.size === 0) stopSpinning();
  }
}

/**
 * Where no line can move, a step that takes long says now and then that it is still at it.
 * @param {string} title
 * @param {{ since: number, progress: string }} state
 */
function tellThatItTakesLong(title, state) {
  if (isTerminal) return undefined;
  return setInterval(() => ended || print(`… ${title} ${state.progress} (${seconds(state.since)})`), 15_000).unref();
}

/** Prints a line above the moving one. @param {string} line */
export function print(line) {
  eraseMovingLine();
  process.stdout.write(`${line}\n`);
  drawMovingLine();
}

function spin() {
  if (!isTerminal || ended) return;
  spinner ??= setInterval(() => {
    frame += 1;
    eraseMovingLine();
    drawMovingLine();
  }, 100).unref();
}

/** Steps that end from now on are not worth a line: the program is stopping, or has failed. */
export function endSteps() {
  ended = true;
  stopSpinning();
}

export function stopSpinning() {
  clearInterval(spinner);
  spinner = undefined;
  eraseMovingLine();
}

function eraseMovingLine() {
  if (isTerminal) process.stdout.write('\r\x1b[K');
}

function drawMovingLine() {
  if (!spinner || running.size === 0) return;
  const parts = [...running].map(([title, { since, progress }]) =>
    `${title} ${progress} ${seconds(since)}`.replace(/ +/g, ' '),
  );
  const text = `${frames[frame % frames.length]} ${parts.join(' · ')}`;
  process.stdout.write(colour('cyan', text.slice(0, (process.stdout.columns || 80) - 1)));
}
