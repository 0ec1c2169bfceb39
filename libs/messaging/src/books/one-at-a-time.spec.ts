import type { QueryResult } from 'pg';
import { OneAtATime } from './one-at-a-time.js';

it('Statements run one after the other, whoever they come from, and one that fails stops nobody', async () => {
  const begun: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const statements = new OneAtATime({
    query: (sql: string) =>
      new Promise<QueryResult<never>>((resolve, reject) => {
        begun.push(sql);
        ends.set(sql, (error) => (error ? reject(error) : resolve({ rows: [sql] } as unknown as QueryResult<never>)));
      }),
  });
  const one = statements.query('one', []);
  const two = statements.query('two', []);
  const three = statements.query('three', []);
  await new Promise(setImmediate);
  expect(begun).toEqual(['one']);
  ends.get('one')!(new Error('no'));
  await expect(one).rejects.toThrow('no');
  await new Promise(setImmediate);
  expect(begun).toEqual(['one', 'two']);
  ends.get('two')!();
  await two;
  await new Promise(setImmediate);
  ends.get('three')!();
  expect(await three).toEqual({ rows: ['three'] });
});
