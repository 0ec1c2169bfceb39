/** Deep enough for any real document, far from the depth at which recursion in a library would overflow the stack. */
const MAX_DEPTH = 32;

interface Unsafe {
  path: PropertyKey[];
  detail: string;
}

/** The first place in `value` that cannot be stored as text or is an attack on prototypes or on the stack. */
export function unsafeText(value: unknown, path: PropertyKey[] = []): Unsafe | undefined {
  if (typeof value === 'string') {
    const detail = flawOf(value);
    return detail === undefined ? undefined : { path, detail };
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (path.length >= MAX_DEPTH) return { path: [], detail: `must not be nested more than ${MAX_DEPTH} deep` };
  for (const [key, item] of Object.entries(value)) {
    if (key === '__proto__') return { path, detail: 'must not have a property "__proto__"' };
    const flaw = flawOf(key);
    if (flaw !== undefined) return { path, detail: `has a property whose name ${flaw}` };
    const found = unsafeText(item, [...path, key]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function flawOf(text: string): string | undefined {
  if (text.includes('\u0000')) return 'must not contain the NUL character';
  // With the "u" flag a proper pair is one code point, so this finds only unpaired halves.
  if (/\p{Surrogate}/u.test(text)) return 'must not contain half of a surrogate pair';
  return undefined;
}
