import type { LeavesEventsAlone } from '@app/messaging';
import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import { z } from 'zod';

import { Problem, pointerOf, type ProblemError } from './problem.js';
import { unsafeText } from './unsafe-text.js';

/** A lower-case UUID, for `@Param('id', { schema: uuidParam })`: anything else is a 400 that names the parameter. */
export const uuidParam = z
  .uuid({ error: 'must be a UUID' })
  .transform((id) => id.toLowerCase())
  .meta({ example: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11' });

/**
 * Validates `@Body({ schema })`, `@Param(name, { schema })`, `@Query({ schema })` and answers 400 with one entry per problem:
 * `pointer` into the body, or the `parameter`. Messages that a schema gives itself win over the ones made here.
 */
export class SchemaValidationPipe implements PipeTransform, LeavesEventsAlone {
  readonly leavesEventsAlone = true;

  /** Without a promise for what has no schema: events pass here, too, and were validated before. */
  transform(value: unknown, { type, data, schema }: ArgumentMetadata): unknown {
    if (type === 'custom') return value;
    if (type !== 'body') {
      const unsafe = unsafeText(value);
      if (unsafe !== undefined) throw invalid([{ detail: unsafe.detail, ...placeOf(type, data)(unsafe.path) }]);
    }
    return schema === undefined ? value : validate(value, schema, placeOf(type, data));
  }
}

async function validate(value: unknown, schema: Schema, at: Place): Promise<unknown> {
  const issues: z.core.$ZodIssue[] = [];
  if (schema instanceof z.core.$ZodType) {
    const result = await z.safeParseAsync(schema, value, { error: describe });
    if (result.success) return result.data;
    issues.push(...result.error.issues);
  } else {
    const result = await schema['~standard'].validate(value);
    if (result.issues === undefined) return result.value;
    issues.push(...(result.issues as z.core.$ZodIssue[]));
  }
  throw invalid(issues.flatMap((issue) => entriesOf(issue, at)));
}

const invalid = (errors: ProblemError[]): Problem =>
  new Problem(400, { detail: 'The request is not valid.', errors: errors.slice(0, 50) });

type Schema = NonNullable<ArgumentMetadata['schema']>;
type Path = readonly PropertyKey[];
type Place = (path: Path) => Partial<ProblemError>;

function placeOf(type: ArgumentMetadata['type'], name: string | undefined): Place {
  const full = (path: Path) => (name === undefined ? path : [name, ...path]);
  if (type === 'body') return (path) => ({ pointer: pointerOf(full(path)) });
  return (path) => {
    const parameter = full(path).join('.');
    return parameter === '' ? {} : { parameter };
  };
}

/** One entry per unknown property instead of one for all, so that each has its own pointer. */
function entriesOf(issue: z.core.$ZodIssue, at: Place): ProblemError[] {
  const path = issue.path.map((segment: unknown) =>
    typeof segment === 'object' && segment !== null && 'key' in segment
      ? (segment.key as PropertyKey)
      : (segment as PropertyKey),
  );
  if (issue.code !== 'unrecognized_keys') return [{ detail: issue.message, ...at(path) }];
  return issue.keys.map((key) => ({ detail: `"${key}" is not known here`, ...at([...path, key]) }));
}

const units: Record<string, string> = { string: 'characters', array: 'items', set: 'items', map: 'items' };
const formats: Record<string, string> = {
  email: 'must be an e-mail address',
  uuid: 'must be a UUID',
  url: 'must be a URL',
  datetime: 'must be a date and time such as 2025-01-31T12:00:00Z',
};

/** What is wrong, as a predicate that reads well after the name of the field. */
function describe(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is required';
      return `must be ${article(issue.expected)}`;
    case 'too_small': {
      if (issue.minimum === 1 && issue.origin === 'string') return 'must not be empty';
      return `must ${bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    }
    case 'too_big':
      return `must ${bound(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'invalid_format':
      return formats[issue.format] ?? `must match the format ${issue.format}`;
    case 'invalid_value':
      return issue.input === undefined
        ? 'is required'
        : `must be ${issue.values.map((v) => JSON.stringify(v)).join(' or ')}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'unrecognized_keys':
      return 'is not known here';
    default:
      return undefined;
  }
}

function bound(origin: string, relation: string, limit: number | bigint): string {
  const unit = units[origin];
  return unit === undefined ? `be ${relation} ${limit}` : `have ${relation} ${limit} ${unit}`;
}

function article(type: string): string {
  if (type === 'int') return 'a whole number';
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}
