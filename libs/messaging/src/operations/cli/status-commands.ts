import { accounts, ownersSide, requestReplay, type Account, type OwnersSide } from '../books-status.js';
import { overview } from '../overview.js';
import { ownerOf } from '../../options.js';
import type { Command } from './command.js';
import { pendingEvents } from './outbox-commands.js';
import { age, fields, plural, table } from './table.js';

const status: Command = {
  name: 'status',
  summary: 'everything at a glance: what waits, is parked, refused, missing, held or paused',
  scope: 'each',
  async run({ database }) {
    const it = await overview(database);
    const { unpublishable, oldestAt } = it.outbox;
    const { failed, overdue } = it.timers;
    const parked = Object.entries(it.parked).filter(([, count]) => count > 0);
    const text = fields({
      Outbox: `${pendingEvents(it.outbox)}${oldestAt ? `, the oldest ${age(oldestAt)} ago` : ''}`,
      Refused: unpublishable > 0 ? `${plural(unpublishable, 'event')} by the broker: events outbox status` : '',
      Parked: parked.length > 0 ? parked.map(([state, n]) => `${n} ${state}`).join(', ') : 'nothing',
      Missing: it.pagesMissing > 0 ? `something of ${plural(it.pagesMissing, 'page')}: events books` : '',
      Held: it.holds.map(({ source, reason }) => `${source}: ${reason}`).join('; '),
      Paused: it.pauses.map(({ scope, reason }) => `${scope} (${reason})`).join(', '),
      Timers: failed + overdue > 0 ? `${failed} failed, ${overdue} overdue: events timers list` : '',
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
    'RECORDED is what the owner has in pages that are final, shown where its database is known here; the services themselves\n' +
    'ask over RabbitMQ. At rest RECORDED = APPLIED + PARKED. Whatever is MISSING is pulled from the owner’s log by itself.\n' +
    'BALANCED is the last page that was compared, SETTLED the last one that is final.',
  async run({ database, databaseOf }) {
    const bothSides = async (account: Account): Promise<BothSides> => {
      const owner = databaseOf(ownerOf(account.source));
      const missing = account.gaps.reduce((sum, gap) => sum + gap.missing, 0);
      return { ...account, missing, ...(owner && (await ownersSide(owner, account))) };
    };
    const found = await Promise.all((await accounts(database)).map(bothSides));
    if (found.length === 0) return { json: { accounts: [] }, text: 'Nothing was heard yet.' };
    const text = table(found, [
      { title: 'INBOX', of: ({ inbox }) => inbox },
      { title: 'AGGREGATE', of: ({ aggregate }) => aggregate, shrinks: true },
      { title: 'EPOCH', of: ({ epoch }) => epoch.slice(0, 8) },
      { title: 'SETTLED', of: ({ settledPage }) => settledPage ?? '?', right: true },
      { title: 'BALANCED', of: ({ balancedPage }) => balancedPage, right: true },
      { title: 'RECORDED', of: ({ recorded }) => recorded ?? '?', right: true },
      { title: 'APPLIED', of: ({ applied }) => applied, right: true },
      { title: 'PARKED', of: ({ parked }) => parked, right: true },
      { title: 'MISSING', of: ({ missing }) => missing, right: true },
      { title: 'ASKED', of: ({ askedAt }) => age(askedAt) },
    ]);
    const gaps = found.flatMap(({ aggregate, gaps: pages }) =>
      pages.map(({ page, recorded, applied, parked, pulls }) => {
        const here = `applied ${applied}, parked ${parked}`;
        return `${aggregate}, page ${page}: recorded ${recorded}, ${here}; pulled ${plural(pulls, 'time')}`;
      }),
    );
    const held = found.flatMap(({ source, held: reason }) => (reason ? [`${source} is held: ${reason}`] : []));
    return { json: { accounts: found }, text: [text, ...gaps, ...held].join('\n') };
  },
};

type BothSides = Account & { missing: number } & Partial<OwnersSide>;

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
