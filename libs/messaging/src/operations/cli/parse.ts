// From words to a command: unknown ones are answered with the nearest known.
import { parseArgs } from 'node:util';
import { UsageError, type Command, type Option } from './command.js';

/** Options that every command has. */
export const COMMON: Record<string, Option> = {
  service: { type: 'string', value: 'name', help: 'whose database; needed if several are known' },
  json: { type: 'boolean', help: 'for programs' },
  help: { type: 'boolean', help: 'this text' },
};

/** Options of commands that change something. */
export const ACTING: Record<string, Option> = {
  'dry-run': { type: 'boolean', help: 'says what it would do, and does not' },
  yes: { type: 'boolean', help: 'does not ask back' },
  reason: { type: 'string', value: 'text', help: 'kept in the audit' },
  as: { type: 'string', value: 'name', help: 'who you are, for the audit' },
};

export interface Parsed {
  command: Command;
  args: string[];
  values: Record<string, string | boolean | undefined>;
}

/** @throws {@link UsageError} if there is no such command or option */
export function parse(words: readonly string[], commands: readonly Command[]): Parsed | 'help' | { group: string } {
  const plain = withoutOptions(words, commands);
  const [command] = commands
    .filter(({ name }) => name === plain.slice(0, name.split(' ').length).join(' '))
    .sort((a, b) => b.name.length - a.name.length);
  if (!command) {
    const [first] = plain;
    if (first === undefined || first === 'help') return 'help';
    if (commands.some(({ name }) => name.startsWith(`${first} `)) && (plain.length === 1 || words.includes('--help'))) {
      return { group: first };
    }
    throw unknownCommand(plain, commands);
  }
  const options = optionsOf(command);
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      options: Object.fromEntries(Object.entries(options).map(([name, { type }]) => [name, { type }])),
      allowPositionals: true,
      strict: true,
    });
    const args = positionals.slice(command.name.split(' ').length);
    const parsed = { command, args, values };
    if (!values.help) requireArity(command, args);
    return parsed;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') throw unknownOption(message, command, options);
    if (code?.startsWith('ERR_PARSE_ARGS')) throw new UsageError(message.split(/\.?\s*\n|\. /)[0]! + '.');
    throw error;
  }
}

/** The words that are neither options nor values of options, wherever those stand. */
function withoutOptions(words: readonly string[], commands: readonly Command[]): string[] {
  const all = Object.assign({}, ...commands.map(optionsOf)) as Record<string, Option>;
  const options = Object.fromEntries(Object.entries(all).map(([name, { type }]) => [name, { type }]));
  return parseArgs({ args: [...words], options, allowPositionals: true, strict: false }).positionals;
}

export const optionsOf = ({ options = {}, acts }: Command): Record<string, Option> => ({
  ...options,
  ...(acts && ACTING),
  ...COMMON,
});

function requireArity({ name, args: shape = '', arity = [0, 0] }: Command, args: readonly string[]): void {
  const [least, most] = arity;
  const usage = `events ${name} ${shape}`.trim();
  if (args.length < least) throw new UsageError(`Something is missing: ${usage}`);
  if (args.length > most) throw new UsageError(`"${args[most]}" is too much here: ${usage}`);
}

function unknownCommand(words: readonly string[], commands: readonly Command[]): UsageError {
  const said = words.slice(0, 2).join(' ');
  const names = commands.map(({ name }) => name);
  const inGroup = names.filter((name) => name.startsWith(`${words[0]} `));
  const near =
    inGroup.length > 0
      ? inGroup.find(
          (name) =>
            name ===
            `${words[0]} ${nearest(
              words[1] ?? '',
              inGroup.map((other) => other.split(' ')[1]!),
            )}`,
        )
      : (nearest(said, names) ?? nearest(words[0]!, names));
  if (near) return new UsageError(`There is no command "${said}". Did you mean "${near}"?`);
  if (inGroup.length > 0) return new UsageError(`There is no command "${said}", only: ${inGroup.join(', ')}.`);
  return new UsageError(`There is no command "${said}". All of them: npm run events -- --help`);
}

function unknownOption(message: string, { name }: Command, options: Record<string, Option>): UsageError {
  const said = /'(-[^']*)'/.exec(message)?.[1] ?? '';
  const near = nearest(said.replace(/^-+/, ''), Object.keys(options));
  const hint = near ? `Did you mean --${near}?` : `All of them: npm run events -- ${name} --help`;
  return new UsageError(`"${name}" has no option ${said}. ${hint}`);
}

/** The one that differs in the fewest letters, if that is few enough to be a slip. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, distance: distanceOf(word, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
