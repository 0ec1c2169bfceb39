// What the README says about the fault suite, and what the suite says about itself.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { SABOTAGES } from '../libs/context/src/sabotage.js';
import { sabotages } from './faults/sabotages.mjs';
import { scenarios } from './faults/scenarios/index.mjs';

const root = path.join(import.meta.dirname, '..');

it('the README names the twelve scenarios of the short form', () => {
  const short = scenarios.filter((scenario) => scenario.short).map(({ name }) => name);
  const [, list] = /The short form:([^.]*)\./.exec(readFileSync(path.join(root, 'README.md'), 'utf8')) ?? [];
  const named = [...(list ?? '').matchAll(/`([a-z-]+)`/g)].map(([, name]) => name);
  expect(named).toEqual(short);
  expect(short).toHaveLength(12);
});

it('the README says how many scenarios there are', () => {
  expect(readFileSync(path.join(root, 'README.md'), 'utf8')).toContain(` has ${scenarios.length} scenarios`);
});

it('the README repeats what the last full run has measured', () => {
  const report = readFileSync(path.join(root, 'docs/RELIABILITY.md'), 'utf8');
  const [, scenarios, events, effects] =
    /\*\*(\d+ of \d+) scenarios\*\*.* recorded, ([\d ]+) in all, with ([\d ]+) effects/.exec(report) ?? [];
  const [, found] = /\*\*(Lost .*)\.\*\*/.exec(report) ?? [];
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8').replace(/\s+/g, ' ');
  expect(readme).toContain(
    `${scenarios} scenarios passed; ${events} events with ${effects} effects: ${found?.toLowerCase()}`,
  );
  expect(report).not.toMatch(/failed\*\*/i);
});

it('every scenario has a name of its own, and says what happens and what a user notices', () => {
  expect(new Set(scenarios.map(({ name }) => name)).size).toBe(scenarios.length);
  for (const { name, what, notice } of scenarios) {
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect([what, notice]).toEqual([expect.stringMatching(/\.$/), expect.stringMatching(/\.$/)]);
  }
});

it('every guard that is switched off is expected to be missed by a scenario that exists', () => {
  const names = scenarios.map(({ name }) => name);
  expect(sabotages.map(({ scenario }) => scenario).filter((name) => !names.includes(name))).toEqual([]);
});

it('the guards that are switched off are those that the code can switch off', () => {
  expect([...new Set(sabotages.map(({ guard }) => guard))].sort()).toEqual([...SABOTAGES].sort());
});
