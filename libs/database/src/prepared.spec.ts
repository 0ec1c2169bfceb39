import { preparedAs } from './prepared.js';

describe('preparedAs', () => {
  const namesOf = (name: () => string, runs: number) => Array.from({ length: runs }, () => name());

  it('has a new name whenever the statement has run twice as often', () => {
    const name = preparedAs('lock');
    const generations = [0, 1, 2, 2, 3, 3, 3, 3, 4, 4];
    expect(namesOf(name, 10)).toEqual(generations.map((generation) => `lock-${generation}`));
    namesOf(name, 990);
    expect(name()).toBe('lock-10');
  });

  it('or eight times as often', () => {
    const name = preparedAs('s1', 3);
    expect(namesOf(name, 9)).toEqual(['s1-0', ...Array<string>(7).fill('s1-1'), 's1-2']);
    expect(new Set(namesOf(name, 100_000)).size).toBe(5);
  });
});
