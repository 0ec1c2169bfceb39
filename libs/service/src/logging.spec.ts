import { runInContext } from '@app/context';
import { Logger } from '@nestjs/common';

import { createLogger } from './logging.js';
import { maskSecrets } from './mask.js';

type Format = 'pretty' | 'json';

function logging(logFormat: Format = 'json', logLevel: 'info' | 'debug' = 'info') {
  const lines: string[] = [];
  const logger = createLogger({ service: 'users', logLevel, logFormat }, { write: (line) => void lines.push(line) });
  return { logger, lines, entries: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

describe('a log line', () => {
  it('is one JSON object with level, time, service, context and message', () => {
    const { logger, entries } = logging();
    logger.log('hello', { size: 2 }, 'Relay');
    const [entry] = entries();
    expect(entry).toEqual({
      level: 'info',
      time: expect.any(String) as string,
      service: 'users',
      context: 'Relay',
      size: 2,
      msg: 'hello',
    });
    expect(new Date(entry?.time as string).toISOString()).toBe(entry?.time);
  });

  it('carries the ids of the work in which it is written', () => {
    const { logger, entries } = logging();
    runInContext({ correlationId: 'c-1', causationId: 'e-1' }, () => void logger.log('inside'));
    logger.log('outside');
    expect(entries()).toEqual([
      expect.objectContaining({ correlationId: 'c-1', causationId: 'e-1' }),
      expect.not.objectContaining({ correlationId: expect.anything() as string }),
    ]);
  });

  it('keeps an error with its stack and its causes, wherever it is given', () => {
    const { logger, entries } = logging();
    const error = new Error('outer', { cause: new Error('inner') });
    logger.error(error);
    logger.error('failed', error, 'Relay');
    logger.error('failed', error.stack, 'Relay');
    expect(entries()).toEqual([
      expect.objectContaining({ msg: 'outer', err: expect.objectContaining({ message: 'outer' }) as object }),
      expect.objectContaining({
        msg: 'failed',
        context: 'Relay',
        err: expect.objectContaining({ stack: error.stack }) as object,
      }),
      expect.objectContaining({ msg: 'failed', context: 'Relay', stack: error.stack }),
    ]);
    expect(entries()[0]?.err).toMatchObject({ cause: { message: 'inner' } });
  });

  it('accepts an object as message', () => {
    const { logger, entries } = logging();
    logger.warn({ message: 'late', by: 3 }, 'Relay');
    expect(entries()[0]).toMatchObject({ level: 'warn', msg: 'late', by: 3, context: 'Relay' });
  });

  it('is short for people', () => {
    const { logger, lines } = logging('pretty');
    runInContext({ correlationId: '0123456789' }, () => void logger.log('hello', { size: 2 }, 'Relay'));
    expect(lines.join('')).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO: users Relay: hello \[01234567\] \{"size":2\}\n$/);
  });

  it('shows people the stack and the code of an error', () => {
    const { logger, lines } = logging('pretty');
    logger.error('failed', Object.assign(new Error('outer'), { code: '23505' }), 'Relay');
    expect(lines.join('')).toMatch(/ERROR: users Relay: failed\n {4}Error: outer\n {8}at .+\(code 23505\)\n$/s);
  });

  it('is left out below the level, and for the wiring of Nest unless debugging', () => {
    const quiet = logging();
    quiet.logger.debug?.('detail');
    quiet.logger.log('Mapped {/users, POST} route', 'RouterExplorer');
    quiet.logger.warn('deprecated', 'RouterExplorer');
    expect(quiet.entries().map(({ msg }) => msg)).toEqual(['deprecated']);
    const loud = logging('json', 'debug');
    loud.logger.log('Mapped {/users, POST} route', 'RouterExplorer');
    expect(loud.lines).toHaveLength(1);
  });

  it('works behind the Logger that Nest gives to everyone', () => {
    const { logger, entries } = logging();
    Logger.overrideLogger(logger);
    new Logger('Relay').error('failed', new Error('why'));
    Logger.overrideLogger(false);
    expect(entries()[0]).toMatchObject({ context: 'Relay', msg: 'failed', err: { message: 'why' } });
  });

  it.each<Format>(['json', 'pretty'])('holds no secrets (%s)', (format) => {
    const { logger, lines } = logging(format);
    logger.log('amqp://guest:hunter2@host', {
      url: 'postgres://a:hunter2@b/c',
      headers: { authorization: 'Bearer hunter2' },
    });
    logger.error('failed', new Error('connect postgres://a:hun@hunter2@b/c'));
    expect(lines.join('')).not.toContain('hunter2');
  });
});

it.each([
  ['amqp://u:p@h/v', 'amqp://u:***@h/v'],
  ['a postgres://u:p@ss@h:1/d b', 'a postgres://u:***@h:1/d b'],
  ['amqp://a:b@one,amqp://c:d@two', 'amqp://a:***@one,amqp://c:***@two'],
  ['http://host:80/a@b', 'http://host:80/a@b'],
  ['mail alice@example.com', 'mail alice@example.com'],
  ['Authorization: Basic dXNlcjpwYXNz', 'Authorization: ***'],
  ['{"authorization":"secret"}', '{"authorization":"***"}'],
])('masks %s', (text, masked) => expect(maskSecrets(text)).toBe(masked));
