// What the environment gives, by value or by file: <NAME>_FILE names a file that holds the value of <NAME>.
import { readFileSync } from 'node:fs';
import { Failure } from '../infrastructure/failure.mjs';

/**
 * @param {string} name
 * @returns {string | undefined} the variable, or what the file holds that <NAME>_FILE names
 */
export function given(name) {
  const file = process.env[`${name}_FILE`];
  if (process.env[name] || !file) return process.env[name] || undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    throw new Failure(`${name}_FILE names a file that cannot be read: ${file}`);
  }
}

/**
 * These variables by value, for programs that read no files, and for services, which would find them set twice. The name of the
 * file is emptied and not left out, because a service looks into .env for what is absent.
 *
 * @param {readonly string[]} names
 * @returns {Record<string, string>}
 */
export function byValue(names) {
  const inFiles = names.filter((name) => !process.env[name] && process.env[`${name}_FILE`]);
  return Object.fromEntries(
    inFiles.flatMap((name) => [
      [name, given(name) ?? ''],
      [`${name}_FILE`, ''],
    ]),
  );
}
