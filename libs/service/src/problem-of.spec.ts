import { BadRequestException, ForbiddenException, InternalServerErrorException } from '@nestjs/common';

import { problemOf } from './problem-of.js';
import { ConflictProblem, ServiceUnavailableProblem, pointerOf, problem } from './problem.js';

const coded = (code: string, message = 'refused') => Object.assign(new Error(message), { code });

describe('what is thrown', () => {
  it('is answered as it is if it is a problem', () => {
    const conflict = new ConflictProblem('The e-mail is taken.', { extensions: { email: 'a@b.c' } });
    expect(problemOf(conflict)).toBe(conflict);
    expect(conflict.details).toEqual({
      type: 'about:blank',
      title: 'Conflict',
      status: 409,
      detail: 'The e-mail is taken.',
      email: 'a@b.c',
    });
  });

  it('keeps status and message of exceptions of Nest', () => {
    expect(problemOf(new ForbiddenException('Not yours.')).details).toMatchObject({
      status: 403,
      detail: 'Not yours.',
    });
    expect(problemOf(new BadRequestException(['a', 'b'])).details.errors).toEqual([{ detail: 'a' }, { detail: 'b' }]);
  });

  it.each([new Error('secret'), new InternalServerErrorException('secret'), 'secret', { secret: 1 }, null, undefined])(
    'tells nothing of what is inside (%p)',
    (thrown) => {
      const failure = problemOf(thrown);
      expect(failure.getStatus()).toBe(500);
      expect(JSON.stringify(failure.details)).not.toContain('secret');
      expect(failure.cause).toBe(thrown ?? undefined);
    },
  );

  it('never lets an extension or a header replace what the problem is', () => {
    expect(problem(404, { extensions: { status: 200, title: 'Fine' } }).details).toMatchObject({
      status: 404,
      title: 'Not Found',
    });
    expect(new ServiceUnavailableProblem('Full.', { headers: { 'x-queue': 'full' } }).headers).toEqual({
      'retry-after': '2',
      'x-queue': 'full',
    });
  });
});

describe('a database that is down', () => {
  it.each([
    ['a refused connection', coded('ECONNREFUSED')],
    ['a host with several addresses', new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')])],
    ['an error that wraps it', new Error('query failed', { cause: coded('57P01') })],
    ['a server that starts', coded('57P03')],
    ['a broken connection', coded('08006')],
    ['too many connections', coded('53300')],
    ['a full disk', coded('53100')],
    ['a replica after a failover', coded('25006')],
    ['a deadlock after the last attempt', coded('40P01')],
    ['a statement that ran out of time', coded('57014')],
    ['an exhausted pool', new Error('timeout exceeded when trying to connect')],
    ['a connection that ends', new Error('Connection terminated unexpectedly')],
  ])('is a 503 with Retry-After: %s', (_what, error) => {
    const failure = problemOf(error);
    expect(failure.getStatus()).toBe(503);
    expect(failure.headers['retry-after']).toBe('2');
  });

  it.each([
    ['a unique violation', coded('23505'), 500],
    ['a mistake in SQL', coded('42601'), 500],
    ['a client that hangs up', Object.assign(coded('ECONNRESET', 'aborted'), { statusCode: 400 }), 400],
    ['NUL in a text', coded('22021'), 400],
  ])('is not %s', (_what, error, status) => {
    expect(problemOf(error).getStatus()).toBe(status);
  });

  it('does not follow a circle of causes for ever', () => {
    const error = new Error('snake');
    error.cause = error;
    expect(problemOf(error).getStatus()).toBe(500);
  });
});

it.each([
  [[], '#'],
  [['lines', 0, 'sku'], '#/lines/0/sku'],
  [['a/b~c', 'ü %'], '#/a~1b~0c/%C3%BC%20%25'],
])('points to %j as %s', (path, pointer) => expect(pointerOf(path)).toBe(pointer));
