// What a client can get wrong, made from the schema of what would be right.
import type { Parameter, Schema } from './openapi.js';

/** A body that is right but for one place. */
export interface BadBody {
  what: string;
  body: unknown;
  /** Where the answer must say that something is wrong, or within it. */
  pointer: string;
}

type Path = readonly (string | number)[];

export function badBodies(schema: Schema, right: unknown): BadBody[] {
  return [...wrongValues(schema, [], right), ...(schema.properties ? inObject(schema, [], right) : [])];
}

function inObject(
  { properties = {}, required = [], additionalProperties }: Schema,
  path: Path,
  right: unknown,
): BadBody[] {
  const unknown = additionalProperties === false ? [bad([...path, 'constructor'], 'is unknown', right, 'x')] : [];
  const missing = required.map((name) => bad([...path, name], 'is missing', right, undefined));
  return [
    ...unknown,
    ...missing,
    ...Object.entries(properties).flatMap(([name, of]) => wrongValues(of, [...path, name], right)),
  ];
}

function wrongValues(schema: Schema, path: Path, right: unknown): BadBody[] {
  const is = (what: string, value: unknown) => bad(path, what, right, value);
  const types = { string: '1', number: 1.5, boolean: true, null: null, object: {}, array: [] as unknown[] };
  const kind = schema.type === 'integer' ? 'number' : schema.type;
  const others = Object.entries(types)
    // An object of which nothing is required may be empty, and a missing body is one of these.
    .filter(([type]) => type !== kind && !(path.length === 0 && type === 'null'))
    .map(([type, value]) => is(`is of type ${type}`, value));
  switch (schema.type) {
    case 'string':
      return [...others, ...wrongTexts(schema).map(([what, value]) => is(what, value))];
    case 'integer':
      return [...others, ...wrongNumbers(schema).map(([what, value]) => is(what, value))];
    case 'array': {
      const { items = {}, minItems = 0, maxItems } = schema;
      const one = (at(right, path) as unknown[])[0];
      return [
        ...others,
        ...(minItems > 0 ? [is('is an empty list', [])] : []),
        ...(maxItems
          ? [
              is(
                'is too long a list',
                Array.from({ length: maxItems + 1 }, () => one),
              ),
            ]
          : []),
        ...(items.properties ? inObject(items, [...path, 0], right) : wrongValues(items, [...path, 0], right)),
        ...wrongValues({ type: items.type }, [...path, 0], right),
      ];
    }
    case 'object':
      return path.length === 0 ? others : [...others, ...inObject(schema, path, right)];
    default:
      return others;
  }
}

function wrongTexts({ minLength = 0, maxLength, format, pattern, enum: among }: Schema): [string, string][] {
  const texts: [string, string][] = [
    ['has a NUL', 'a\u0000b'],
    ['has half a surrogate pair', 'a\ud800b'],
  ];
  const isFree = !format && !pattern && !among;
  if (!isFree || minLength > 0) texts.push(['is empty', '']);
  if (!isFree) texts.push(['is no such thing', '\u202e ☠'], ['is far too long', 'x'.repeat(50_000)]);
  if (isFree) texts.push(['is too long', 'x'.repeat((maxLength ?? 50_000) + 1)]);
  return texts;
}

function wrongNumbers({ minimum, maximum }: Schema): [string, unknown][] {
  return [
    ['is a text', '12'],
    ['is a fraction', 0.5],
    ['is beyond whole numbers', 2 ** 53],
    ['is huge', 1e308],
    ...(minimum === undefined ? [] : [['is too small', minimum - 1] as [string, number]]),
    ...(maximum === undefined ? [] : [['is too large', maximum + 1] as [string, number]]),
  ];
}

function bad(path: Path, what: string, right: unknown, value: unknown): BadBody {
  return {
    what: `${path.join('.') || 'the body'} ${what}`,
    body: withValue(right, path, value),
    pointer: `#${path.map((key) => `/${key}`).join('')}`,
  };
}

const at = (value: unknown, path: Path): unknown =>
  path.reduce((inner, key) => (inner as Record<string | number, unknown>)[key], value);

function withValue(right: unknown, path: Path, value: unknown): unknown {
  if (path.length === 0) return value;
  const copy = structuredClone(right);
  const parent = at(copy, path.slice(0, -1)) as Record<string | number, unknown>;
  if (value === undefined) delete parent[path.at(-1)!];
  else parent[path.at(-1)!] = value;
  return copy;
}

const LIMITS = ['0', '-1', '101', '1e9', '1.5', 'NaN', 'Infinity', 'ten', '', '9'.repeat(30), '%00', '1&limit=2', '[]'];
const CURSORS = [
  '',
  'x',
  '%00',
  'a&cursor=b',
  '\u{1f600}',
  'x'.repeat(2_000),
  ...['\u0000', '-1', '{}', "' or 1=1"].map(base64),
];
const TEXTS = ['%00', '%ED%A0%80', 'x', 'x'.repeat(3_000), '', 'a@example.com&email=b@example.com'];

export function badQueries(parameters: readonly Parameter[]): { what: string; query: string; parameter: string }[] {
  const known = parameters.filter((parameter) => parameter.in === 'query');
  const unknown = known.length > 0 ? [{ what: 'is unknown', query: 'offset=1', parameter: 'offset' }] : [];
  return [
    ...unknown,
    ...known.flatMap(({ name }) => {
      const values = name === 'limit' ? LIMITS : name === 'cursor' ? CURSORS : TEXTS;
      return values
        .filter((value) => !value.includes('&') || value.includes(`&${name}=`))
        .map((value) => ({ what: `${name}=${value.slice(0, 50)}`, query: `${name}=${value}`, parameter: name }));
    }),
  ];
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64url');
}

export const badPathValues = [
  '%00',
  'a%00b',
  '%ED%A0%80',
  '%ff',
  '%',
  '-1',
  "'%20or%20'1'%3D'1",
  '..%2f..%2fetc%2fpasswd',
  '%F0%9F%98%80',
  'x'.repeat(70),
  'x'.repeat(500),
  '__proto__',
];

const HEADERS: Record<string, string[]> = {
  'If-Match': ['1', '"1', 'x, "1"', '"1" "2"', ',', 'W/1'],
  'Idempotency-Key': ['', '\u00e9', 'x'.repeat(256), 'a\tb'],
};

export const badHeaders = (parameters: readonly Parameter[]): { header: string; value: string }[] =>
  parameters
    .filter((parameter) => parameter.in === 'header')
    .flatMap(({ name }) => (HEADERS[name] ?? []).map((value) => ({ header: name, value })));
