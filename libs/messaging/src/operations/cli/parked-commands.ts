import { discardParked, skipGroup, skipMissing, skipParked } from '../parked-skip.js';
import { listParked, parkedGroups, type ParkedFilter } from '../parked-query.js';
import { countBehind, retryGroup, retryParked, type GroupEffect } from '../parked-retry.js';
import { actOnAll, actOnEach } from './act.js';
import { numberOf, UsageError, type Command, type Context, type Option, type Output } from './command.js';
import { outcomeOf, showCommand } from './parked-show.js';
import { age, due, plural, table } from './table.js';

const FILTERS: Record<string, Option> = {
  state: { type: 'string', value: 'state', help: 'waiting, retry, slow, incompatible or dead' },
  type: { type: 'string', value: 'event', help: 'such as users.user.registered.v1' },
  error: { type: 'string', value: 'text', help: 'a part of the first line of the error, such as its class' },
  source: { type: 'string', value: 'name', help: 'the service that told the event' },
  subject: { type: 'string', value: 'id', help: 'one aggregate' },
  inbox: { type: 'string', value: 'name', help: 'one inbox of the service' },
  group: { type: 'string', value: 'group', help: 'as shown by "parked groups"' },
};
const ALL: Option = { type: 'boolean', help: 'all that are parked' };

function filterOf({ text }: Context): ParkedFilter {
  return Object.fromEntries(Object.keys(FILTERS).map((name) => [name, text(name)]));
}

const list: Command = {
  name: 'parked list',
  summary: 'events that cannot be applied now, oldest first; * = the first of its stream',
  scope: 'each',
  options: {
    ...FILTERS,
    limit: { type: 'string', value: 'n', help: 'how many (50)' },
    after: { type: 'string', value: 'id', help: 'those behind this one' },
  },
  async run(context) {
    const limit = numberOf(context.text('limit') ?? '50', '--limit');
    const after = String(context.text('after') ?? 0);
    if (!/^\d{1,18}$/.test(after)) throw new UsageError(`--after must be the id of a parked event, not "${after}".`);
    const events = await listParked(context.database, filterOf(context), { limit, after });
    const rows = table(events, [
      { title: 'ID', of: ({ id, head }) => `${id}${head ? '*' : ''}` },
      { title: 'STATE', of: ({ state }) => state },
      { title: 'EVENT', of: ({ type }) => type ?? '(unreadable)', shrinks: true },
      { title: 'SUBJECT', of: ({ subject }) => subject && (subject.length > 13 ? `…${subject.slice(-12)}` : subject) },
      { title: 'SEQ', of: ({ sequence }) => sequence, right: true },
      { title: 'TRIES', of: ({ attempts }) => attempts, right: true },
      { title: 'DUE', of: ({ dueAt }) => due(dueAt) },
      { title: 'AGE', of: ({ parkedAt }) => age(parkedAt) },
      { title: 'ERROR', of: ({ error }) => error || '–', shrinks: true },
    ]);
    const more = events.length === limit ? `\nMore: --after ${events.at(-1)!.id}` : '';
    return { json: { events }, text: events.length > 0 ? rows + more : 'Nothing is parked.' };
  },
};

const groups: Command = {
  name: 'parked groups',
  summary: 'the same by event and error, the largest group first',
  scope: 'each',
  options: FILTERS,
  async run(context) {
    const found = await parkedGroups(context.database, filterOf(context));
    const text = table(found, [
      { title: 'GROUP', of: ({ group }) => group },
      { title: 'EVENTS', of: ({ events }) => events, right: true },
      { title: 'DEAD', of: ({ dead }) => dead, right: true },
      { title: 'TRIES', of: ({ attempts }) => attempts, right: true },
      { title: 'OLDEST', of: ({ oldest }) => age(oldest) },
      { title: 'DUE', of: ({ nextDue }) => due(nextDue) },
      { title: 'EVENT', of: ({ type }) => type ?? '(unreadable)', shrinks: true },
      { title: 'ERROR', of: ({ error }) => error || '(waits for its predecessor)', shrinks: true },
    ]);
    return { json: { groups: found }, text: found.length > 0 ? text : 'Nothing is parked.' };
  },
};

const retry: Command = {
  name: 'parked retry',
  summary: 'tries parked events again, now: by id, a group, or all',
  args: '[<id>…]',
  arity: [0, 1_000],
  scope: 'one',
  acts: true,
  options: { ...FILTERS, all: ALL },
  details:
    'Dead events start with their first attempt again; unreadable ones are decoded again. Of a stream only the first event\n' +
    'can be tried: the others follow by themselves.',
  async run(context) {
    const { database, action, args } = context;
    if (args.length === 0) return actOnGroup(context, 'Retry', retryGroup);
    return actOnEach(context, async (id) => {
      const { decoded } = await retryParked(database, id, action);
      if (action.dryRun) return 'would be tried';
      return decoded === undefined ? outcomeOf(database, id) : `can be read now: ${plural(decoded, 'event')}`;
    });
  },
};

const skip: Command = {
  name: 'parked skip',
  summary: 'lets the stream go on without these events: by id, a group, or a sequence that never came',
  args: '[<id>…]  |  --missing <source> <aggregate> <subject> <sequence>',
  arity: [0, 1_000],
  scope: 'one',
  acts: true,
  options: {
    ...FILTERS,
    all: ALL,
    missing: { type: 'boolean', help: 'skips a sequence that never arrived, for which later ones wait' },
    epoch: { type: 'string', value: 'uuid', help: 'with --missing, if the stream is known in several' },
    page: { type: 'string', value: 'n', help: 'with --missing, the page that "books" shows as missing it; 0: none' },
  },
  details: 'A skipped event is never applied here. It stays in the log of its owner.',
  async run(context) {
    const { database, action, args, confirm } = context;
    if (context.flag('missing')) return skipOneMissing(context);
    if (args.length === 0) return actOnGroup(context, 'Skip', skipGroup);
    await confirm(`Skip ${plural(args.length, 'event')} for good?`);
    return actOnEach(context, async (id) => {
      await skipParked(database, id, action);
      return action.dryRun ? 'would be skipped' : 'skipped';
    });
  },
};

const discard: Command = {
  name: 'parked discard',
  summary: 'removes messages that belong to no stream: unreadable or foreign ones',
  args: '<id>…',
  arity: [1, 1_000],
  scope: 'one',
  acts: true,
  async run(context) {
    const { database, action, args, confirm } = context;
    await confirm(`Remove ${plural(args.length, 'message')} for good?`);
    return actOnEach(context, async (id) => {
      await discardParked(database, id, action);
      return action.dryRun ? 'would be removed' : 'removed';
    });
  },
};

export const parkedCommands: Command[] = [list, groups, showCommand, retry, skip, discard];

async function skipOneMissing({ database, args, text, action, confirm }: Context): Promise<Output> {
  const [source, aggregate, subject, number] = args;
  if (!number || args.length > 4)
    throw new UsageError('Say which: --missing <source> <aggregate> <subject> <sequence>');
  const sequence = numberOf(number, 'The sequence');
  const page = text('page');
  const which = {
    source: source!,
    aggregate: aggregate!,
    subject: subject!,
    sequence,
    inbox: text('inbox'),
    epoch: text('epoch'),
  };
  await confirm(`Let ${aggregate} ${subject} go on without sequence ${sequence}, for good?`);
  await skipMissing(database, { ...which, ...(page && { page: numberOf(page, '--page', 0) }) }, action);
  const done = action.dryRun ? 'would be skipped' : 'skipped';
  return { json: { skipped: sequence, dryRun: action.dryRun ?? false }, text: `Sequence ${sequence}: ${done}` };
}

type GroupAction = (
  database: Context['database'],
  filter: ParkedFilter,
  options: Context['action'],
) => Promise<GroupEffect>;

async function actOnGroup(context: Context, verb: 'Retry' | 'Skip', act: GroupAction): Promise<Output> {
  const { database, action } = context;
  const filter = filterOf(context);
  const everything = Object.values(filter).every((value) => value === undefined);
  if (everything && !context.flag('all')) {
    throw new UsageError(`Say which: an id, a filter such as --group <group> or --type <event>, or --all.`);
  }
  const effect = await actOnAll(
    context,
    (options) => act(database, filter, options),
    async (count) => `${verb} ${plural(count, 'event')}${behind(await countBehind(database, filter))}?`,
  );
  const done = `${verb === 'Retry' ? 'due now' : 'skipped'}${action.dryRun ? ' if this were not a dry run' : ''}`;
  const refused = effect.refused.map(({ id, reason }) => `${id}: ${reason}`);
  const text = [`${plural(effect.affected, 'event')} ${done}${behind(effect.behind)}.`, ...refused].join('\n');
  return { json: { ...effect, dryRun: action.dryRun ?? false }, text, incomplete: refused.length > 0 };
}

const behind = (count: number) =>
  count > 0 ? ` (${count > 10_000 ? 'more than 10000' : count} more wait behind them)` : '';
