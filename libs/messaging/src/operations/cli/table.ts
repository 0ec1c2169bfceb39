/** A column of a table. `shrinks`: gives up width first when the table is too wide. */
export interface Column<Row> {
  title: string;
  of: (row: Row) => string | number | null | undefined;
  right?: boolean;
  shrinks?: boolean;
}

const GAP = '  ';
/** A shrinking column keeps at least this much. */
const NARROWEST = 8;

/** Aligned columns that fit into `width`; too long cells end with an ellipsis. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width = terminalWidth()): string {
  const cells = rows.map((row) => columns.map(({ of }) => oneLine(of(row))));
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((line) => line[i]!.length)));
  for (let excess = total(widths) - width; excess > 0; excess--) {
    const widest = columns.reduce<number | undefined>((best, { shrinks }, i) => {
      if (!shrinks || widths[i]! <= NARROWEST) return best;
      return best === undefined || widths[i]! > widths[best]! ? i : best;
    }, undefined);
    if (widest === undefined) break;
    widths[widest]!--;
  }
  const line = (texts: readonly string[]) =>
    texts
      .map((text, i) => pad(clip(text, widths[i]!), widths[i]!, columns[i]!.right ?? false))
      .join(GAP)
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...cells.map(line)].join('\n');
}

/** Names and values below each other. */
export function fields(entries: Record<string, string | number | null | undefined>): string {
  const shown = Object.entries(entries).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}${GAP}${value}`).join('\n');
}

const terminalWidth = (): number => Math.max(80, Math.min(process.stdout.columns ?? 100, 160));

const total = (widths: readonly number[]) => widths.reduce((sum, w) => sum + w, 0) + GAP.length * (widths.length - 1);

const pad = (text: string, width: number, right: boolean) => (right ? text.padStart(width) : text.padEnd(width));

export const clip = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, width - 1)}…`;

/** Nothing that an event carries may move the cursor or break the line. */
const oneLine = (value: string | number | null | undefined): string =>
  String(value ?? '–').replaceAll(/\p{Cc}+/gu, ' ');

const UNITS: [seconds: number, name: string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
  [1, 's'],
];

/** `3 min`; the largest unit of which there are two. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const [size, name] = UNITS.find(([unit]) => seconds >= 2 * unit) ?? [1, 's'];
  return `${Math.floor(seconds / size)} ${name}`;
}

/** How long ago. */
export const age = (date: Date | null, now = Date.now()): string => (date ? duration(now - date.getTime()) : '–');

/** `now`, `in 3 min`. */
export const due = (date: Date | null, now = Date.now()): string => {
  if (!date) return '–';
  return date.getTime() <= now ? 'now' : `in ${duration(date.getTime() - now)}`;
};

/** `12.3 MB` */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let power = 0;
  for (; count >= 1000 && power < units.length - 1; power++) count /= 1000;
  return `${power === 0 ? count : count.toFixed(1)} ${units[power]}`;
}

/** `1 event`, `2 events` */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
