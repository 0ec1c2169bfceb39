import { parse } from './parse.js';
import { COMMANDS, run } from './run.js';
import { age, bytes, due, duration, fields, table } from './table.js';

const parsed = (line: string) => parse(line.split(' ').filter(Boolean), COMMANDS);
const complaint = (line: string): string => {
  try {
    parsed(line);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error(`"${line}" is understood`);
};

describe('the command line', () => {
  it('is understood wherever its options stand', () => {
    for (const line of [
      'parked list --service users --limit 3',
      '--service users parked list --limit=3',
      'parked --limit 3 list --service=users',
    ]) {
      expect(parsed(line)).toMatchObject({
        command: { name: 'parked list' },
        args: [],
        values: { service: 'users', limit: '3' },
      });
    }
    expect(parsed('parked skip 1 2')).toMatchObject({ args: ['1', '2'] });
    expect(parsed('parked skip --missing users users.user abc 3')).toMatchObject({
      args: ['users', 'users.user', 'abc', '3'],
      values: { missing: true },
    });
  });

  it('is answered with the nearest command or option', () => {
    expect(complaint('parkd list')).toBe('There is no command "parkd list". Did you mean "parked list"?');
    expect(complaint('parked lst')).toBe('There is no command "parked lst". Did you mean "parked list"?');
    expect(complaint('parked frob')).toContain('only: parked list, parked groups');
    expect(complaint('xyzzy')).toContain('npm run events -- --help');
    expect(complaint('parked list --stat dead')).toBe('"parked list" has no option --stat. Did you mean --state?');
    expect(complaint('parked list --frobnicate')).toContain('All of them: npm run events -- parked list --help');
    expect(complaint('parked list --yes')).toContain('no option --yes');
  });

  it('says what is missing and what is too much', () => {
    expect(complaint('parked show')).toBe('Something is missing: events parked show <id>');
    expect(complaint('parked show 1 2')).toBe('"2" is too much here: events parked show <id>');
    expect(complaint('parked list --limit')).toContain('--limit');
  });

  it('leads to help', () => {
    expect(parsed('')).toBe('help');
    expect(parsed('--help')).toBe('help');
    expect(parsed('parked')).toEqual({ group: 'parked' });
    expect(parsed('parked show --help')).toMatchObject({ values: { help: true } });
  });

  it('ends with the exit code for wrong usage', async () => {
    const said: string[] = [];
    const terminal = {
      out: () => {},
      err: (text: string) => void said.push(text),
      ask: undefined,
      signal: new AbortController().signal,
    };
    expect(await run(['parkd'], terminal)).toBe(2);
    expect(said.join('')).toContain('There is no command');
  });
});

describe('a table', () => {
  const columns = [
    { title: 'ID', of: (row: string[]) => row[0] },
    { title: 'N', of: (row: string[]) => row[1], right: true },
    { title: 'TEXT', of: (row: string[]) => row[2], shrinks: true },
  ];

  it('is aligned', () => {
    expect(
      table(
        [
          ['a', '1', 'x'],
          ['bcd', '100', 'y'],
        ],
        columns,
      ),
    ).toBe('ID     N  TEXT\na      1  x\nbcd  100  y');
  });

  it('cuts long texts to fit', () => {
    const text = table([['a', '1', 'long '.repeat(50)]], columns, 40);
    expect(text.split('\n')[1]).toHaveLength(40);
    expect(text).toMatch(/…$/);
  });

  it('keeps every row on its line', () => {
    expect(table([['a', '1', 'x\ny\u001b[2Jz']], columns).split('\n')).toEqual(['ID  N  TEXT', 'a   1  x y [2Jz']);
  });

  it('names what is there', () => {
    expect(fields({ One: 1, Two: undefined, Three: 'x' })).toBe('One    1\nThree  x');
  });
});

describe('quantities', () => {
  it('are short', () => {
    expect([0, 1_000, 119_000, 120_000, 7_199_000, 7_200_000, 172_800_000].map(duration)).toEqual([
      '0 s',
      '1 s',
      '119 s',
      '2 min',
      '119 min',
      '2 h',
      '2 d',
    ]);
    expect(age(new Date(1_000), 61_000)).toBe('60 s');
    expect([due(null), due(new Date(5), 10), due(new Date(60_000), 0)]).toEqual(['–', 'now', 'in 60 s']);
    expect([0, 999, 1_000, 12_345_678].map(bytes)).toEqual(['0 B', '999 B', '1.0 kB', '12.3 MB']);
  });
});
