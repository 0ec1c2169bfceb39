// Reads .http files as the REST clients of editors do: requests between lines that begin with ###, variables in double braces.
import { randomUUID } from 'node:crypto';

export interface WrittenRequest {
  /** The text behind ###. */
  title: string;
  /** `# @name order`: later requests may refer to its answer. */
  name: string | undefined;
  /** With variables in it. */
  text: string;
}

export interface Answer {
  headers: Headers;
  body: unknown;
}

export interface HttpFile {
  variables: Record<string, string>;
  requests: WrittenRequest[];
}

export function parseHttpFile(file: string): HttpFile {
  const variables = Object.fromEntries(
    [...file.matchAll(/^@(\w+) *= *(.*)$/gm)].map(([, name, value]) => [name!, value!]),
  );
  const parts = file.split(/^###/m).slice(1);
  const requests = parts.flatMap((part) => {
    const [title = '', ...lines] = part.split('\n');
    const name = lines.map((line) => /^# @name (\w+)/.exec(line)?.[1]).find(Boolean);
    const text = lines
      .filter((line) => !/^(#|@)/.test(line))
      .join('\n')
      .trim();
    return text === '' ? [] : [{ title: title.trim(), name, text }];
  });
  return { variables, requests };
}

/** @throws if a variable has no value */
export function fillIn(text: string, variables: Record<string, string>, answers: ReadonlyMap<string, Answer>): string {
  return text.replace(/\{\{(.*?)\}\}/g, (_, expression: string) => {
    const value = valueOf(expression.trim(), variables, answers);
    if (value === undefined) throw new Error(`{{${expression}}} has no value`);
    return value;
  });
}

function valueOf(
  expression: string,
  variables: Record<string, string>,
  answers: ReadonlyMap<string, Answer>,
): string | undefined {
  if (expression === '$guid') return randomUUID();
  if (expression === '$timestamp') return String(Math.floor(Date.now() / 1000));
  const [, name = '', part, path = ''] = /^(\w+)\.response\.(body|headers)\.(.+)$/.exec(expression) ?? [];
  if (part === undefined) return variables[expression];
  const answer = answers.get(name);
  if (part === 'headers') return answer?.headers.get(path) ?? undefined;
  const value = path
    .split('.')
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown>)?.[key], answer?.body);
  return typeof value === 'string' ? value : undefined;
}

/** Method, URL, headers and body of a request without variables. */
export function requestIn(text: string) {
  const [head = '', ...bodyParts] = text.split('\n\n');
  const [first = '', ...headerLines] = head.split('\n');
  const [method = '', url = ''] = first.split(' ');
  const headers = Object.fromEntries(
    headerLines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]),
  );
  return { method, url, headers, body: bodyParts.length > 0 ? bodyParts.join('\n\n') : undefined };
}
