import { attachments, detach } from '../detach.js';
import { audit } from '../operation.js';
import { parseSince, tail, type RecordedEvent } from '../tail.js';
import { UsageError, type Command } from './command.js';
import { plural } from './table.js';

const tailCommand: Command = {
  name: 'tail',
  summary: 'events as they are recorded, of all services or one',
  scope: 'each',
  options: {
    type: { type: 'string', value: 'event', help: 'such as users.user.registered.v1 or orders.*; several with commas' },
    subject: { type: 'string', value: 'id', help: 'one aggregate' },
    since: { type: 'string', value: 'time', help: '10m, 2h, 1d or a date and time; else from now on' },
    once: { type: 'boolean', help: 'ends after what is there now' },
  },
  async run({ database, service, text, flag, json, print, signal }) {
    const since = text('since');
    const options = {
      types: text('type')?.split(','),
      subject: text('subject'),
      since: since === undefined ? undefined : parseSince(since),
      once: flag('once'),
      signal,
    };
    for await (const event of tail(database, options)) {
      print(json ? JSON.stringify({ service, ...event }) : lineOf(event));
    }
    return undefined;
  },
};

const lineOf = ({ type, subject, sequence, recordedAt, data }: RecordedEvent) =>
  `${recordedAt.toISOString().slice(11, 23)}  ${type}  ${subject} #${sequence}  ${JSON.stringify(data)}`;

const detachCommand: Command = {
  name: 'detach',
  summary: 'takes a service that was removed, or one of its inboxes, away from RabbitMQ for good',
  args: '<service>',
  arity: [1, 1],
  scope: 'none',
  acts: true,
  options: { inbox: { type: 'string', value: 'name', help: 'only this further inbox of it' } },
  details:
    'Deletes its queues with their messages, its bindings and the exchanges that nobody else uses. Its database is not\n' +
    'touched: a service that is started again gets everything that it missed.',
  async run({ args, text, action, rabbitmqUrls, databaseOf, confirm }) {
    const service = args[0]!;
    const inbox = text('inbox');
    if (rabbitmqUrls.length === 0) throw new UsageError('Where is RabbitMQ? Set RABBITMQ_URL, or put it into .env.');
    const found = await attachments(rabbitmqUrls, service, inbox);
    const listed = found.map(({ kind, name, messages, consumers }) =>
      kind === 'queue'
        ? `  queue ${name}: ${plural(messages!, 'message')}, ${plural(consumers!, 'consumer')}`
        : `  exchange ${name}`,
    );
    const objects = found.map(({ name }) => name);
    if (action.dryRun)
      return { json: { service, inbox, found, dryRun: true }, text: `Would be deleted:\n${listed.join('\n')}` };
    await confirm(`${listed.join('\n')}\nDelete all of this for good?`);
    const { affected, kept } = await detach(rabbitmqUrls, found);
    const database = databaseOf(service);
    const parameters = { service, inbox: inbox ?? null, objects, kept };
    const entry = { ...action.operator, action: 'detach', parameters, affected };
    const audited =
      database &&
      (await database
        .transaction((tx) => audit(tx, entry))
        .then(
          () => true,
          () => false,
        ));
    const notes = [
      kept.length > 0 ? `\nKept, because others use it: ${kept.join(', ')}` : '',
      audited ? '' : `\nNot in the audit: the database of ${service} cannot be reached.`,
    ];
    return {
      json: { service, inbox, deleted: affected, kept, audited },
      text: `${affected} of ${found.length} deleted.${notes.join('')}`,
    };
  },
};

export const brokerCommands: Command[] = [tailCommand, detachCommand];
