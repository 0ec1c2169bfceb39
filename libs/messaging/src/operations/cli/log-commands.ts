import { ownerOf } from '../../options.js';
import { closeHold, listHolds, releaseHold } from '../holds.js';
import { logStatus, startEpoch } from '../log.js';
import { sourceOf } from '../parked-query.js';
import { UsageError, type Command, type Context, type Option } from './command.js';
import { age, fields, plural } from './table.js';

const log: Command = {
  name: 'log status',
  summary: 'the service’s own log: how far it is, and since when its epoch lasts',
  scope: 'each',
  async run({ database }) {
    const it = await logStatus(database);
    const text = fields({
      Epoch: `${it.epoch}, for ${age(it.startedAt)}`,
      'Last position': it.position,
      'Pages settled': `up to ${it.settledPage}, open: ${it.openPage}`,
    });
    return { json: it, text };
  },
};

const newEpoch: Command = {
  name: 'log new-epoch',
  summary: 'for a database that was restored to an older state: its log begins a new life',
  scope: 'one',
  acts: true,
  details:
    'Every stream begins with sequence 1 again. Events that were told after the state that was restored are still applied at\n' +
    'their subscribers; only people can decide what that means.',
  async run({ database, service, action, confirm }) {
    if (!action.dryRun) await confirm(`Begin a new epoch of the log of ${service}?`);
    const effect = await startEpoch(database, action);
    const done = action.dryRun ? 'would begin' : `has begun: ${effect.epoch}`;
    return { json: { ...effect, dryRun: action.dryRun ?? false }, text: `A new epoch ${done}.` };
  },
};

const holds: Command = {
  name: 'holds',
  summary: 'logs that contradict what was applied here; their events are parked',
  scope: 'each',
  async run({ database }) {
    const found = await listHolds(database);
    const lines = found.map(({ inbox, source, epoch, reason, since, closedAt, parked }) => {
      const state = closedAt
        ? `closed ${age(closedAt)} ago`
        : `held for ${age(since)}, ${plural(parked, 'event')} parked`;
      return `${source}, epoch ${epoch}, in inbox ${inbox}: ${state}\n  ${reason}`;
    });
    return { json: { holds: found }, text: lines.join('\n') || 'Nothing is held.' };
  },
};

const WHICH: Record<string, Option> = {
  epoch: { type: 'string', value: 'uuid', help: 'only this life of the log' },
  inbox: { type: 'string', value: 'name', help: 'only there' },
};
const whichOf = ({ args, text }: Context) => ({ source: args[0]!, epoch: text('epoch'), inbox: text('inbox') });

const release: Command = {
  name: 'holds release',
  summary: 'lets a held log flow again, if it was held without need',
  args: '<source>',
  arity: [1, 1],
  scope: 'one',
  acts: true,
  options: WHICH,
  details:
    'For instance because an event was forged; the next contradiction holds it again. With --epoch it also opens a life again\n' +
    'that was closed by mistake; what was dropped is pulled from its owner.',
  async run(context) {
    const { database, args, action, confirm } = context;
    await confirm(`Let ${args[0]} flow again?`);
    const effect = await releaseHold(database, whichOf(context), action);
    const done = action.dryRun ? 'would be released' : 'released';
    return { json: { ...effect, dryRun: action.dryRun ?? false }, text: `${plural(effect.affected, 'hold')} ${done}.` };
  },
};

const close: Command = {
  name: 'holds close',
  summary: 'ends the life of a held log whose owner has begun a new one: its events are dropped',
  args: '<source>',
  arity: [1, 1],
  scope: 'one',
  acts: true,
  options: WHICH,
  details:
    'First, on the owner: log new-epoch. The dropped events stay in its log. Closed by mistake: holds release --epoch <uuid>',
  async run(context) {
    const { database, databaseOf, args, action, confirm } = context;
    const source = sourceOf(args[0]!);
    const owner = databaseOf(ownerOf(source));
    if (owner) await requireNewEpoch(database, (await logStatus(owner)).epoch, source);
    await confirm(
      `Drop what was parked of this life of the log of ${source} since it is held, and all that still comes?`,
    );
    const effect = await closeHold(database, whichOf(context), action);
    const done = action.dryRun ? 'would be dropped' : 'dropped';
    return {
      json: { ...effect, dryRun: action.dryRun ?? false },
      text: `${plural(effect.affected, 'log')} closed, ${plural(effect.dropped, 'parked event')} ${done}.`,
    };
  },
};

/** Else nothing that the owner tells from now on would be heard. */
async function requireNewEpoch(database: Context['database'], current: string, source: string): Promise<void> {
  const held = await listHolds(database);
  if (!held.some((hold) => hold.source === source && hold.epoch === current && !hold.closedAt)) return;
  throw new UsageError(`${source} still writes in that epoch. First: log new-epoch --service ${ownerOf(source)}`);
}

export const logCommands: Command[] = [log, newEpoch, holds, release, close];
