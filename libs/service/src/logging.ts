import { currentContext } from '@app/context';
import type { LoggerService, LogLevel } from '@nestjs/common';
import { destination as stdout, pino, type DestinationStream, type Level, type Logger } from 'pino';
import { prettyFactory } from 'pino-pretty';

import type { ServiceConfig } from './config.js';
import { maskSecrets } from './mask.js';

/** What Nest says while it wires itself; shown only at `LOG_LEVEL=debug` or finer. */
const startUpNoise = new Set([
  'RouterExplorer',
  'InstanceLoader',
  'RoutesResolver',
  'NestFactory',
  'NestApplication',
  'NestMicroservice',
]);

/**
 * Nest's logger over pino: one JSON object per line, or short lines for people. Every line carries the correlation and causation
 * id of the work in which it is written, and no passwords of URLs or authorization headers.
 *
 * `logger.log('message', { any: 'fields' })`, `logger.error('message', error)`, `logger.error(error)` all do what they look like.
 */
export function createLogger(
  config: Pick<ServiceConfig, 'service' | 'logLevel' | 'logFormat'>,
  destination?: DestinationStream,
): LoggerService {
  // Synchronous, so that the last words before an exit are not lost.
  const out = destination ?? stdout({ dest: 1, sync: true });
  const usePretty = config.logFormat === 'pretty' || (config.logFormat === 'auto' && process.stdout.isTTY === true);
  const logger = pino(
    {
      level: config.logLevel,
      base: { service: config.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: contextIds,
      hooks: { streamWrite: maskSecrets },
      serializers: { err: pino.stdSerializers.errWithCause },
    },
    usePretty ? prettyStream(out) : out,
  );
  return new PinoLogger(logger);
}

const contextIds = (): object => {
  const context = currentContext();
  if (context === undefined) return {};
  const { correlationId, causationId } = context;
  return causationId === undefined ? { correlationId } : { correlationId, causationId };
};

function prettyStream(out: DestinationStream): DestinationStream {
  const format = prettyFactory({
    colorize: process.stdout.isTTY === true && !process.env.NO_COLOR,
    translateTime: 'SYS:HH:MM:ss.l',
    // What the message says already, or says better.
    ignore: 'service,context,correlationId,causationId,http,err,stack',
    singleLine: true,
    customPrettifiers: {
      time: (time) => time as string,
      level: (_level, _key, _log, { labelColorized }) => labelColorized,
    },
    messageFormat: (log, messageKey) => {
      const text = (name: string) => (typeof log[name] === 'string' ? log[name] : '');
      const from = [text('service'), text('context')].filter(Boolean).join(' ');
      const id = text('correlationId').slice(0, 8);
      return `${from}: ${text(messageKey)}${id && ` [${id}]`}${stackOf(log.err) || stackOf(log)}`;
    },
  });
  return { write: (line) => void out.write(format(line)) };
}

function stackOf(error: unknown): string {
  const { stack, code, cause } = (error ?? {}) as Record<string, unknown>;
  if (typeof stack !== 'string') return '';
  const text = typeof code === 'string' ? `${stack.trimEnd()}\n(code ${code})` : stack.trimEnd();
  return `\n    ${text.replaceAll('\n', '\n    ')}${cause ? `\n  caused by${stackOf(cause)}` : ''}`;
}

class PinoLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log = (message: unknown, ...rest: unknown[]): void => this.write('info', message, rest);
  error = (message: unknown, ...rest: unknown[]): void => this.write('error', message, rest);
  warn = (message: unknown, ...rest: unknown[]): void => this.write('warn', message, rest);
  debug = (message: unknown, ...rest: unknown[]): void => this.write('debug', message, rest);
  verbose = (message: unknown, ...rest: unknown[]): void => this.write('trace', message, rest);
  fatal = (message: unknown, ...rest: unknown[]): void => this.write('fatal', message, rest);

  /** Nest calls it to narrow the levels; `LOG_LEVEL` is the only place where they are set. */
  setLogLevels(_levels: LogLevel[]): void {}

  private write(level: Level, message: unknown, rest: unknown[]): void {
    if (!this.logger.isLevelEnabled(level)) return;
    const { context, fields, notes } = argumentsOf(message, rest);
    if (level === 'info' && startUpNoise.has(context ?? '') && !this.logger.isLevelEnabled('debug')) return;
    // `listen` rejects with it as well, and `bootstrap` says it better.
    if (context === 'NestApplication' && notes[0]?.startsWith('Error: listen ')) return;
    this.logger[level]({ ...(context !== undefined && { context }), ...fields }, notes.join(' '));
  }
}

/** Nest appends the logger's name as the last string; before it stand whatever the caller gave. */
function argumentsOf(message: unknown, rest: unknown[]) {
  const given = rest.filter((argument) => argument !== undefined);
  const last = given.at(-1);
  const context = typeof last === 'string' && !isStack(last) ? last : undefined;
  if (context !== undefined) given.pop();
  const fields: Record<string, unknown> = {};
  const notes: string[] = [];
  for (const argument of [message, ...given]) {
    if (argument instanceof Error) {
      fields.err = argument;
      if (notes.length === 0) notes.push(argument.message);
    } else if (typeof argument === 'object' && argument !== null) {
      const { message: text, msg = text, ...others } = argument as Record<string, unknown>;
      Object.assign(fields, others);
      if (typeof msg === 'string') notes.push(msg);
    } else if (typeof argument === 'string' && isStack(argument)) {
      fields.stack = argument;
    } else {
      notes.push(String(argument));
    }
  }
  return { context, fields, notes };
}

const isStack = (text: string): boolean => /\n\s+at /.test(text);
