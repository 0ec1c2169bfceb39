import { isDatabaseUnavailable } from './errors.js';

const said = (code: string, severity = 'FATAL') => Object.assign(new Error(code), { code, severity });

describe('the database is unavailable', () => {
  it.each([
    ['the server shuts down', said('57P01')],
    ['it has no room', said('53100', 'ERROR')],
    ['it takes no more connections', said('53300')],
    ['a transaction was open for too long', said('25P04')],
    ['a pooler refuses the connection', said('08P01')],
    ['nobody listens', said('ECONNREFUSED')],
    ['one of several says so', new AggregateError([new Error('no'), said('ECONNRESET')])],
  ])('if %s', (_, error) => expect(isDatabaseUnavailable(error)).toBe(true));

  it.each([
    ['has a parameter too many', said('08P01', 'ERROR')],
    ['violates a constraint', said('23505', 'ERROR')],
    ['waits for a lock for too long', said('55P03', 'ERROR')],
  ])('not if a statement %s', (_, error) => expect(isDatabaseUnavailable(error)).toBe(false));
});
