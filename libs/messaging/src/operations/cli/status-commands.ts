import { accounts, compare, ownersPages, requestReplay, type Account, type Page } from '../books-status.js';
import { overview } from '../overview.js';
import { ownerOf } from '../../options.js';
import type { Command, Context } from './command.js';
import { pendingEvents } from './outbox-commands.js';
import { age, fields, plural, table } from './table.js';

const status: Command = {
  name: 'status',
  summary: 'everything at a glance: what waits, what is parked, what is paused',
  scope: 'each',
  async run({ database }) {
    const it = await overview(database);
    const parked = Object.entries(it.parked).filter(([, count]) => count > 0);
    const text = fields({
      Outbox: `${pendingEvents(it.outbox)}${it.outbox.oldestAt ? `, the oldest ${age(it.outbox.oldestAt)} ago` : ''}`,
      Parked: parked.length > 0 ? parked.map(([state, n]) => `${n} ${state}`).join(', ') : 'nothing',
      Held: it.holds.map(({ source, reason }) => `${source}: ${reason}`).join('; '),
      Paused: it.pauses.map(({ scope, reason }) => `${scope} (${reason})`).join(', '),
      Log: `position ${it.log.position}, epoch ${it.log.epoch}`,
    });
    return { json: it, text };
  },
};

const books: Command = {
  name: 'books',
  summary: 'both sides: what owners recorded, what was applied or parked here, what is missing',
  scope: 'each',
  details:
    'The owners’ side is shown where their database is known here; the services themselves ask over RabbitMQ.\n' +
    'BALANCED is the last page up to which everything is here; SETTLED the last one whose count is final.',
  async run(context) {
    const found = await Promise.all((await accounts(context.database)).map((account) => withOwner(context, account)));
    if (found.length === 0) return { json: { accounts: [] }, text: 'Nothing was heard yet.' };
    const text = table(found, [
      { title: 'INBOX', of: ({ inbox }) => inbox },
      { title: 'AGGREGATE', of: ({ aggregate }) => aggregate, shrinks: true },
      { title: 'EPOCH', of: ({ epoch }) => epoch.slice(0, 8) },
      { title: 'BALANCED', of: ({ balancedPage }) => balancedPage, right: true },
      { title: 'SETTLED', of: ({ settledPage }) => settledPage ?? '?', right: true },
      { title: 'APPLIED', of: ({ applied }) => applied, right: true },
      { title: 'PARKED', of: ({ parked }) => parked, right: true },
      { title: 'MISSING', of: ({ missing }) => missing ?? '?', right: true },
      { title: 'LOOKED', of: ({ askedAt }) => (askedAt && Number.isFinite(askedAt.getTime()) ? age(askedAt) : '–') },
    ]);
    const wrong = found.flatMap(({ aggregate, pages = [] }) =>
      pages
        .filter(({ missing }) => missing !== 0)
        .map(
          ({ page, recorded, applied, parked }) =>
            `${aggregate}, page ${page}: recorded ${recorded}, applied ${applied}, parked ${parked}`,
        ),
    );
    const held = found.flatMap(({ source, held: reason }) => (reason ? [`${source} is held: ${reason}`] : []));
    return { json: { accounts: found }, text: [text, ...wrong, ...held].join('\n') };
  },
};

interface BothSides extends Account {
  settledPage?: number;
  pages?: Page[];
  missing?: number;
}

async function withOwner({ databaseOf }: Context, account: Account): Promise<BothSides> {
  const owner = databaseOf(ownerOf(account.source));
  if (!owner) return account;
  const theirs = await ownersPages(owner, account);
  const pages = compare(account, theirs);
  return {
    ...account,
    settledPage: theirs.settledPage,
    pages,
    missing: pages.reduce((sum, page) => sum + page.missing, 0),
  };
}

const replay: Command = {
  name: 'replay',
  summary: 'looks at the books now and pulls from the owners’ logs whatever is missing',
  args: '[<inbox>]',
  arity: [0, 1],
  scope: 'one',
  acts: true,
  details: 'Happens by itself every 15 s. Events that were applied before are not applied again.',
  async run({ database, args, action }) {
    const effect = await requestReplay(database, { inbox: args[0] }, action);
    const what = `${plural(effect.affected, 'source')} ${action.dryRun ? 'would be' : 'will be'} asked within some ten seconds.`;
    return { json: { ...effect, dryRun: action.dryRun ?? false }, text: `${what} Watch: npm run events -- books` };
  },
};

export const statusCommands: Command[] = [status, books, replay];
