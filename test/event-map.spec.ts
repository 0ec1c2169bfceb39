// docs/events.md is written from the code, and the pictures of flows speak of events that exist.
// UPDATE_DOCS=1 npx jest test/event-map writes it anew.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { contracts, type AnyEventClass } from '@app/contracts';
import { reactionsOf } from '@app/testing';
import type { Type } from '@nestjs/common';
import * as markdown from 'prettier/plugins/markdown';
import { format } from 'prettier/standalone';

const root = path.join(import.meta.dirname, '..');
const file = path.join(root, 'docs/events.md');
const folders = ['apps', 'examples'].flatMap((folder) =>
  readdirSync(path.join(root, folder)).map((service) => ({ service, folder: `${folder}/${service}` })),
);

/** Which reactions of which service an event has, by its type. */
async function reactions(): Promise<Map<string, string[]>> {
  const map = new Map<string, string[]>();
  for (const { service, folder } of folders) {
    const modules = (await import(path.join(root, folder, `src/${service}.module.ts`))) as Record<string, Type>;
    for (const { type, reaction } of reactionsOf(Object.values(modules)[0]!)) {
      const slice = kebab(reaction);
      const link = `${service}: [${reaction}](../${folder}/src/${slice}/${slice}.handler.ts)`;
      map.set(type, [...(map.get(type) ?? []), link]);
    }
  }
  return map;
}

const kebab = (name: string): string => name.replaceAll(/(?<!^)(?=[A-Z])/g, '-').toLowerCase();

function row(contract: AnyEventClass, reacting: readonly string[] = []): string {
  const source = `../libs/contracts/src/${contract.owner}/${kebab(contract.name)}.ts`;
  const fields = Object.keys(contract.schema.shape).map((name) => `\`${name}\``);
  const who = reacting.join('<br/>') || '_third parties_';
  return `| [\`${contract.type}\`](${source}) | ${fields.join(', ')} | ${who} |`;
}

async function document(): Promise<string> {
  const reacting = await reactions();
  const rows = [...contracts.values()].map((contract) => row(contract, reacting.get(contract.type)));
  const text = `# Events

What the services tell, what is in it, and who reacts. Written from the code; a test keeps it true.

| event | data | reactions |
| --- | --- | --- |
${rows.sort().join('\n')}
`;
  return format(text, { parser: 'markdown', plugins: [markdown] });
}

it('docs/events.md says what the code does', async () => {
  const expected = await document();
  if (process.env.UPDATE_DOCS) writeFileSync(file, expected);
  expect(readFileSync(file, 'utf8')).toBe(expected);
});

it.each(['docs/flows.md', 'README.md'])('%s speaks of events that exist', (file) => {
  const named = readFileSync(path.join(root, file), 'utf8').match(/\b(?:users|orders)\.[a-z-]+\.[a-z-]+\.v\d+/g);
  expect(named!.length).toBeGreaterThan(6);
  expect([...new Set(named)].filter((type) => !contracts.has(type))).toEqual([]);
});
