// One call of `npm run events`: finds the command, the service and its database, and turns errors into sentences and exit codes.
import { hostname, userInfo } from 'node:os';
import { Database, isDatabaseUnavailable } from '@app/database';
import { OperationError } from '../operation.js';
import { brokerCommands } from './broker-commands.js';
import { DeclinedError, UsageError, type Command, type Context } from './command.js';
import { groupOf, helpOf, overviewOf } from './help.js';
import { logCommands } from './log-commands.js';
import { outboxCommands } from './outbox-commands.js';
import { parkedCommands } from './parked-commands.js';
import { parse, type Parsed } from './parse.js';
import { statusCommands } from './status-commands.js';
import { stopCommands } from './stop-commands.js';
import { findSurroundings, pick, type KnownService, type Surroundings } from './surroundings.js';

export const COMMANDS: readonly Command[] = [
  ...statusCommands,
  ...outboxCommands,
  ...parkedCommands,
  ...stopCommands,
  ...logCommands,
  ...brokerCommands,
];

/** How the command line meets the world. */
export interface Terminal {
  out: (text: string) => void;
  err: (text: string) => void;
  /** `undefined`: nobody is there to ask. */
  ask: ((question: string) => Promise<string>) | undefined;
  surroundings?: () => Surroundings;
  signal: AbortSignal;
}

/** Deleting the gate of a million streams takes some ten seconds. */
const PATIENCE_MS = 600_000;

const DONE = 0;
const FAILED = 1;
const WRONG_USAGE = 2;
const DECLINED = 3;
const INCOMPLETE = 4;

/** @returns the exit code */
export async function run(words: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const parsed = parse(words, COMMANDS);
    if (parsed === 'help') return say(terminal, overviewOf(COMMANDS));
    if ('group' in parsed) return say(terminal, groupOf(parsed.group, COMMANDS));
    if (parsed.values.help) return say(terminal, helpOf(parsed.command));
    return await perform(parsed, terminal);
  } catch (error) {
    if (terminal.signal.aborted) return DONE;
    terminal.err(`${sentenceOf(error)}\n`);
    if (error instanceof UsageError) return WRONG_USAGE;
    return error instanceof DeclinedError ? DECLINED : FAILED;
  }
}

function say({ out }: Terminal, text: string): number {
  out(text);
  return DONE;
}

async function perform(parsed: Parsed, terminal: Terminal): Promise<number> {
  const { command, values } = parsed;
  const surroundings = (terminal.surroundings ?? findSurroundings)();
  const services = await choose(command, surroundings.services, values.service as string | undefined, terminal);
  const databases = new Map<string, Database>();
  const databaseOf = (service: string): Database | undefined => {
    const known = surroundings.services.find(({ name }) => name === service);
    if (known && !databases.has(service)) databases.set(service, open(known));
    return databases.get(service);
  };
  try {
    const contexts = services.map(({ name }) =>
      contextOf(parsed, name, databaseOf, surroundings.rabbitmqUrls, terminal),
    );
    // Only `tail` never ends by itself; the others say what they have in the order of the services.
    const outputs = contexts.map((context) => command.run(context));
    let code = DONE;
    for (const [i, output] of (await Promise.all(outputs)).entries()) {
      if (!output) continue;
      const { json, text, incomplete } = output;
      const { service } = contexts[i]!;
      const heading = contexts.length > 1 ? `${i > 0 ? '\n' : ''}${service}\n${'─'.repeat(service.length)}\n` : '';
      terminal.out(values.json ? `${JSON.stringify({ service, ...json }, null, 2)}\n` : `${heading}${text}\n`);
      if (incomplete) code = INCOMPLETE;
    }
    return code;
  } finally {
    await Promise.all([...databases.values()].map((database) => database.close()));
  }
}

async function choose(
  { scope, name }: Command,
  services: readonly KnownService[],
  wanted: string | undefined,
  { ask }: Terminal,
): Promise<KnownService[]> {
  if (scope === 'none') return [{ name: wanted ?? '', databaseUrl: '' }];
  const found = pick(services, wanted);
  if (scope === 'each' || found.length === 1) return found;
  const names = found.map((service) => service.name).join(' or ');
  if (ask) return pick(services, (await ask(`Which service, ${names}? `)).trim());
  throw new UsageError(`Which service? "${name}" needs one: --service ${names.replace(' or ', ' or --service ')}`);
}

function contextOf(
  { command, args, values }: Parsed,
  service: string,
  databaseOf: Context['databaseOf'],
  rabbitmqUrls: readonly string[],
  { ask, out, signal }: Terminal,
): Context {
  const text = (option: string) => values[option] as string | undefined;
  const flag = (option: string) => values[option] === true;
  return {
    service,
    get database() {
      return databaseOf(service)!;
    },
    databaseOf,
    rabbitmqUrls,
    args,
    text,
    flag,
    action: {
      operator: { who: text('as') ?? `${userInfo().username}@${hostname()}`, reason: text('reason') },
      dryRun: flag('dry-run'),
    },
    json: flag('json'),
    confirm: async (question) => {
      if (flag('yes') || flag('dry-run')) return;
      if (!ask) throw new DeclinedError(`${question} Nobody is there to ask: add --yes.`);
      const answer = await ask(`${question} [y/N] `);
      if (!/^(y|yes)$/i.test(answer.trim())) throw new DeclinedError(`Nothing was changed (${command.name}).`);
    },
    print: (line) => out(`${line}\n`),
    signal,
  };
}

const open = ({ name, databaseUrl }: KnownService) =>
  new Database({
    url: databaseUrl,
    applicationName: `${name} events command`,
    poolSize: 2,
    statementTimeoutMs: PATIENCE_MS,
  });

function sentenceOf(error: unknown): string {
  if (error instanceof UsageError || error instanceof DeclinedError || error instanceof OperationError)
    return error.message;
  const { code, message } = error as { code?: string; message: string };
  if (code === '42P01' || code === '3F000' || code === '42703') {
    return `The database lacks tables of this version: start the service once, it brings them up to date. (${message})`;
  }
  if (isDatabaseUnavailable(error)) return `The database cannot be reached: ${message || code}. Is the system running?`;
  if (code === '28P01' || code === '3D000') return `The database refuses: ${message}. Check <SERVICE>_DATABASE_URL.`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
