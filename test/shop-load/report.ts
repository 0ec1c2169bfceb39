// What somebody who waits for a long run wants to see.
import type { Told } from './load.js';

const EVERY_MS = 5_000;

/** Says how far it is and how long it will take. Past Jest, which keeps what a test prints until its end. */
export function progressOf(isLong: boolean): (ordered: number, of: number) => void {
  if (!isLong) return () => {};
  const started = Date.now();
  let last = 0;
  return (ordered, of) => {
    const now = Date.now();
    if (now - last < EVERY_MS && ordered < of) return;
    last = now;
    const secondsLeft = Math.round(((now - started) / 1_000) * (of / ordered - 1));
    process.stderr.write(`  ${ordered} of ${of} orders, about ${secondsLeft} s more\n`);
  };
}

export function report(
  rows: readonly { what: string; number: string }[],
  { kills, repeated, refused, users }: Told,
  looks: number,
  started: number,
  found: readonly string[],
): void {
  const seconds = Math.round((Date.now() - started) / 1_000);
  const lines = [
    ...rows.map(({ what, number }) => `${number.padStart(8)} ${what}`),
    `${String(refused).padStart(8)} refused (out of stock, mixed currencies, closed account)`,
    `${String(users.length).padStart(8)} users`,
    `${String(repeated).padStart(8)} requests repeated, because users was killed ${kills.users} and orders ${kills.orders} times`,
    `${String(looks).padStart(8)} looks at the stock meanwhile, ${seconds} s in all`,
    found.length === 0 ? '  everything adds up' : `  ${found.length} PROBLEMS`,
    ...found.slice(0, 100).map((problem) => `    ${problem}`),
  ];
  process.stderr.write(`${lines.join('\n')}\n`);
}
