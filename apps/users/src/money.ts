const formats = new Map<string, Intl.NumberFormat>();

/** `2375, 'EUR'` → `€23.75`: minor units as people write them. */
export function money(minor: number, currency: string): string {
  let format = formats.get(currency); // making one takes longer than using it
  if (!format) formats.set(currency, (format = new Intl.NumberFormat('en', { style: 'currency', currency })));
  return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}
