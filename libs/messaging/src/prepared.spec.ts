import { preparedAs } from './prepared.js';

it('a statement has a new name whenever it has run twice as often', () => {
  const name = preparedAs('lock');
  const names = Array.from({ length: 10 }, () => name());
  expect(names).toEqual([0, 1, 2, 2, 3, 3, 3, 3, 4, 4].map((generation) => `lock-${generation}`));
  for (let runs = 10; runs < 1_000; runs++) name();
  expect(name()).toBe('lock-10');
});
