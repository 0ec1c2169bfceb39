import type { Command } from './command.js';
import { optionsOf } from './parse.js';

/** All commands. */
export function overviewOf(commands: readonly Command[]): string {
  return `Usage: npm run events -- <command> [options]

Looks after the events of the services: what waits, what failed, what is missing.

${linesOf(commands)}

npm run events -- <command> --help says more. Where the services are: <SERVICE>_DATABASE_URL and RABBITMQ_URL from the
environment or .env, else of the system that "npm start" is running. What to do when: docs/operations.md.
Exit codes: 0 done, 1 could not be done, 2 wrong usage, 3 not confirmed, 4 refused for some.
`;
}

export const groupOf = (group: string, commands: readonly Command[]): string =>
  `${linesOf(commands.filter(({ name }) => name === group || name.startsWith(`${group} `)))}\n`;

/** One command. */
export function helpOf(command: Command): string {
  const options = Object.entries(optionsOf(command)).map(([name, { value, help }]) => [
    `--${name}${value ? ` <${value}>` : ''}`,
    help,
  ]);
  const width = Math.max(...options.map(([name]) => name!.length));
  const lines = options.map(([name, help]) => `  ${name!.padEnd(width)}  ${help}`);
  const { name, args = '', summary, details } = command;
  return `Usage: npm run events -- ${`${name} ${args}`.trim()} [options]

${summary[0]!.toUpperCase()}${summary.slice(1)}.
${details ? `\n${details}\n` : ''}
${lines.join('\n')}
`;
}

function linesOf(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join('\n');
}
