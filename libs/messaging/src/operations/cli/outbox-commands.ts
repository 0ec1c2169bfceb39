import { releaseEvents } from '../outbox-release.js';
import { outboxStatus } from '../outbox-status.js';
import { cancelTimer, listTimers, retryTimers, timersStatus } from '../timers-status.js';
import { actOnAll, actOnEach } from './act.js';
import { numberOf, UsageError, type Command } from './command.js';
import { age, bytes, due, fields, plural, table } from './table.js';

const status: Command = {
  name: 'outbox status',
  summary: 'what waits to be published, since when, why, and which process publishes',
  scope: 'each',
  async run({ database }) {
    const it = await outboxStatus(database);
    const refused = table(it.unpublishable, [
      { title: 'POSITION', of: ({ position }) => position, right: true },
      { title: 'EVENT', of: ({ type }) => type, shrinks: true },
      { title: 'SUBJECT', of: ({ subject }) => subject, shrinks: true },
      { title: 'BEHIND IT', of: ({ waiting }) => waiting, right: true },
      { title: 'AGE', of: ({ since }) => age(since) },
      { title: 'ERROR', of: ({ error }) => error, shrinks: true },
    ]);
    const text = fields({
      Pending: `${pendingEvents(it)}, ${it.exact ? '' : 'about '}${bytes(it.bytes)}`,
      Oldest: it.oldestAt ? `${age(it.oldestAt)} ago` : '–',
      'Active relay': it.relay ? `${it.relay.name}, from ${it.relay.address}, for ${age(it.relay.since)}` : 'none',
      ...(it.paused && { Paused: `${it.paused.reason} (by ${it.paused.by}, ${age(it.paused.since)} ago)` }),
      Unpublishable: it.unpublishable.length,
    });
    return { json: it, text: it.unpublishable.length > 0 ? `${text}\n\n${refused}` : text };
  },
};

export const pendingEvents = ({ pending, exact }: { pending: number; exact: boolean }) =>
  `${exact ? '' : 'at most '}${plural(pending, 'event')} pending`;

const release: Command = {
  name: 'outbox release',
  summary: 'publishes events again that the broker has refused',
  args: '[<position>…]',
  arity: [0, 1_000],
  scope: 'one',
  acts: true,
  options: { all: { type: 'boolean', help: 'all that are set aside' } },
  details: 'Remove the reason first, such as a limit of the broker. What it refuses again is set aside again.',
  async run(context) {
    const { database, args, flag, action } = context;
    if (args.length === 0 && !flag('all')) throw new UsageError('Say which: the position of an event, or --all.');
    const effect =
      args.length > 0
        ? await releaseEvents(database, args, action)
        : await actOnAll(
            context,
            (options) => releaseEvents(database, undefined, options),
            (count) => `Publish ${plural(count, 'event')} again?`,
          );
    const done = action.dryRun ? 'would be published again' : 'will be published again within a second or two';
    return {
      json: { ...effect, dryRun: action.dryRun ?? false },
      text: `${plural(effect.affected, 'event')} ${done}.`,
    };
  },
};

const timers: Command = {
  name: 'timers status',
  summary: 'how many events are to be recorded later, and when the next one',
  scope: 'each',
  async run({ database }) {
    const it = await timersStatus(database);
    const { pending, exact, overdue, failed, nextAt } = it;
    const text = fields({
      Pending: `${exact ? '' : 'more than '}${plural(pending, 'timer')}`,
      Next: nextAt ? (nextAt.getTime() < Date.now() ? `${age(nextAt)} overdue` : due(nextAt)) : '–',
      Overdue: overdue,
      Failed: failed,
    });
    return { json: { timers: it }, text };
  },
};

const list: Command = {
  name: 'timers list',
  summary: 'the next timers, or those whose event cannot be recorded',
  scope: 'each',
  options: {
    failed: { type: 'boolean', help: 'those whose event cannot be recorded' },
    limit: { type: 'string', value: 'n', help: 'how many (50)' },
  },
  async run({ database, flag, text: option }) {
    const found = await listTimers(database, {
      failed: flag('failed'),
      limit: numberOf(option('limit') ?? '50', '--limit'),
    });
    const text = table(found, [
      { title: 'ID', of: ({ id }) => id },
      { title: 'DUE', of: ({ dueAt }) => due(dueAt) },
      { title: 'EVENT', of: ({ type }) => type, shrinks: true },
      { title: 'SUBJECT', of: ({ subject }) => subject, shrinks: true },
      { title: 'KEY', of: ({ key }) => key, shrinks: true },
      { title: 'ERROR', of: ({ error }) => error, shrinks: true },
    ]);
    return { json: { timers: found }, text: found.length > 0 ? text : 'None.' };
  },
};

const retry: Command = {
  name: 'timers retry',
  summary: 'tries timers again whose events could not be recorded',
  scope: 'one',
  acts: true,
  details: 'Happens by itself from time to time, and whenever the service starts.',
  async run(context) {
    const { database, action } = context;
    const effect = await actOnAll(
      context,
      (options) => retryTimers(database, options),
      (count) => `Try ${plural(count, 'timer')} again?`,
    );
    const done = action.dryRun ? 'would be tried' : 'will be tried';
    return {
      json: { ...effect, dryRun: action.dryRun ?? false },
      text: `${plural(effect.affected, 'timer')} ${done} again.`,
    };
  },
};

const cancel: Command = {
  name: 'timers cancel',
  summary: 'removes timers: their events are never recorded',
  args: '<id>…',
  arity: [1, 1_000],
  scope: 'one',
  acts: true,
  async run(context) {
    const { database, args, action, confirm } = context;
    await confirm(`Cancel ${plural(args.length, 'timer')} for good?`);
    return actOnEach(context, async (id) => {
      await cancelTimer(database, id, action);
      return action.dryRun ? 'would be cancelled' : 'cancelled';
    });
  },
};

export const outboxCommands: Command[] = [status, release, timers, list, retry, cancel];
