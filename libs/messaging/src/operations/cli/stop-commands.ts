import { listAudit } from '../operation.js';
import { inboxes, rebuildInbox } from '../inbox-rebuild.js';
import { listPauses, pauseScope, resumeScope } from '../pauses.js';
import { numberOf, type Command } from './command.js';
import { age, clip, plural, table } from './table.js';

const pauses: Command = {
  name: 'pauses',
  summary: 'what is paused, by whom and why',
  scope: 'each',
  async run({ database }) {
    const found = await listPauses(database);
    const text = table(found, [
      { title: 'SCOPE', of: ({ scope }) => scope },
      { title: 'BY', of: ({ by }) => by, shrinks: true },
      { title: 'FOR', of: ({ since }) => age(since) },
      { title: 'REASON', of: ({ reason }) => reason, shrinks: true },
    ]);
    return { json: { pauses: found }, text: found.length > 0 ? text : 'Nothing is paused.' };
  },
};

const pause: Command = {
  name: 'pause',
  summary: 'stops the relay, an inbox or one reaction, within a second or two',
  args: '<relay | inbox:name | reaction:ClassName>',
  arity: [1, 1],
  scope: 'one',
  acts: true,
  details:
    'relay             events wait in the outbox\n' +
    'inbox:<name>      events wait in the queue\n' +
    'reaction:<Class>  its events are parked with their streams, everything else flows\n' +
    'Nothing is lost, and all of it goes on by itself after "resume".',
  async run({ database, args, action }) {
    const effect = await pauseScope(database, args[0]!, action);
    const done = action.dryRun ? 'would be paused' : 'is paused';
    return {
      json: { scope: args[0], ...effect, dryRun: action.dryRun ?? false },
      text: effect.affected > 0 ? `${args[0]} ${done}.` : `${args[0]} is paused already.`,
    };
  },
};

const resume: Command = {
  name: 'resume',
  summary: 'lets go on what was paused',
  args: '<relay | inbox:name | reaction:ClassName>',
  arity: [1, 1],
  scope: 'one',
  acts: true,
  async run({ database, args, action }) {
    const effect = await resumeScope(database, args[0]!, action);
    const done = action.dryRun ? 'would go on' : 'goes on';
    return { json: { scope: args[0], ...effect, dryRun: action.dryRun ?? false }, text: `${args[0]} ${done}.` };
  },
};

const rebuild: Command = {
  name: 'inbox rebuild',
  summary: 'resets the inbox of a projection: all of history is applied again',
  args: '<inbox>',
  arity: [1, 1],
  scope: 'one',
  acts: true,
  details:
    'Before: pause inbox:<name>; when --dry-run is not refused any more, it is at rest: then empty the tables of the projection, which\n' +
    'this command does not touch.\n' +
    'After: resume inbox:<name>; the history arrives by itself, see "books".',
  async run({ database, service, args, action, confirm }) {
    const inbox = args[0]!;
    if (!action.dryRun)
      await confirm(`Have you emptied the projection's own tables? "${inbox}" will apply all of history again.`);
    const effect = await rebuildInbox(database, service, inbox, action);
    const done = action.dryRun ? 'would be forgotten' : 'forgotten';
    return {
      json: { inbox, ...effect, dryRun: action.dryRun ?? false },
      text: `${plural(effect.streams, 'stream')} and ${plural(effect.parked, 'parked event')} ${done}. Next: resume inbox:${inbox}`,
    };
  },
};

const listInboxes: Command = {
  name: 'inbox list',
  summary: 'the inboxes of a service',
  scope: 'each',
  async run({ database }) {
    const names = await inboxes(database);
    return { json: { inboxes: names }, text: names.join('\n') || 'None: this service hears nothing.' };
  },
};

const auditCommand: Command = {
  name: 'audit',
  summary: 'who did what, when and why; the newest first',
  scope: 'each',
  options: { limit: { type: 'string', value: 'n', help: 'how many (20)' } },
  async run({ database, text: option }) {
    const lines = await listAudit(database, { limit: numberOf(option('limit') ?? '20', '--limit') });
    const text = table(lines, [
      { title: 'AGO', of: ({ at }) => age(at) },
      { title: 'WHO', of: ({ who }) => who, shrinks: true },
      { title: 'ACTION', of: ({ action }) => action },
      { title: 'ROWS', of: ({ affected }) => affected, right: true },
      { title: 'WITH', of: ({ parameters }) => clip(JSON.stringify(parameters), 200), shrinks: true },
      { title: 'REASON', of: ({ reason }) => reason, shrinks: true },
    ]);
    return { json: { audit: lines }, text: lines.length > 0 ? text : 'Nothing was done.' };
  },
};

export const stopCommands: Command[] = [pauses, pause, resume, listInboxes, rebuild, auditCommand];
