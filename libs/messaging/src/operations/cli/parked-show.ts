import type { Database } from '@app/database';
import { setTimeout as sleep } from 'node:timers/promises';
import { OperationError } from '../operation.js';
import { showParked, type ParkedDetails } from '../parked-query.js';
import type { Command } from './command.js';
import { age, due, fields } from './table.js';

/** As much of an unreadable message is shown. */
const SHOWN_BYTES = 2_048;
const WATCH_MS = 3_000;

export const showCommand: Command = {
  name: 'parked show',
  summary: 'one parked event: its contents, its error with the stack, where its stream stands',
  args: '<id>',
  arity: [1, 1],
  scope: 'one',
  async run({ database, args }) {
    const event = await showParked(database, args[0]!);
    const { raw, ...rest } = event;
    return { json: { ...rest, ...(raw && { raw: raw.toString('base64') }) }, text: describe(event) };
  },
};

function describe(event: ParkedDetails): string {
  const { stream, raw } = event;
  const sections = [
    fields({
      'Parked event': event.id,
      State: `${event.state}, due ${due(event.dueAt)}, tried ${event.attempts} times, parked ${age(event.parkedAt)} ago`,
      Inbox: event.inbox,
      Event: event.type && `${event.type} ${event.eventId}`,
      Source: event.source && `${event.source}${event.epoch ? `, epoch ${event.epoch}, page ${event.page}` : ''}`,
      Stream: event.sequence && `${event.aggregate} ${event.subject}, sequence ${event.sequence}`,
      'Gate stands at': stream && `sequence ${stream.applied}, ${stream.parked} parked`,
      'First in line': stream && (event.head ? 'this one' : `${stream.headId} (sequence ${stream.headSequence})`),
      Group: event.group,
    }),
    event.fullError ? `Error\n${indent(event.fullError)}` : '',
    raw
      ? `Headers\n${indent(JSON.stringify(event.headers, null, 2))}\n\nContent, ${raw.length} bytes\n${indent(dump(raw))}`
      : '',
    raw ? '' : `Event\n${indent(JSON.stringify(event.event, null, 2))}`,
  ];
  return sections.filter(Boolean).join('\n\n');
}

const indent = (text: string) => text.replaceAll(/^/gm, '  ');

/** As text if it is mostly that, else in hexadecimal. */
function dump(raw: Buffer): string {
  const shown = raw.subarray(0, SHOWN_BYTES);
  const text = shown.toString('utf8');
  const strange = text.match(/[^\P{Cc}\t\n\r]|\ufffd/gu)?.length ?? 0;
  const rest = raw.length > SHOWN_BYTES ? `\n… and ${raw.length - SHOWN_BYTES} bytes more` : '';
  if (strange === 0) return text + rest;
  const lines: string[] = [];
  for (let at = 0; at < shown.length; at += 16) {
    const part = shown.subarray(at, at + 16);
    const hex = part.toString('hex').replaceAll(/../g, '$& ').padEnd(48);
    const plain = part.toString('latin1').replaceAll(/[^\u0020-\u007e]/g, '.');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${hex} ${plain}`);
  }
  return lines.join('\n') + rest;
}

/** What becomes of a retried event in the next few seconds. */
export async function outcomeOf(database: Database, id: string): Promise<string> {
  const deadline = Date.now() + WATCH_MS;
  for (;;) {
    await sleep(150);
    try {
      const { state, claimed, error, dueAt } = await standing(database, id);
      const waits = state !== 'dead' && dueAt !== null && dueAt.getTime() <= Date.now();
      if (!waits && !claimed) return `failed again (${state}): ${error}`;
    } catch (error) {
      if (error instanceof OperationError) return 'went through';
      throw error;
    }
    if (Date.now() > deadline) return 'due now; not tried yet (is the service running?)';
  }
}

async function standing(database: Database, id: string) {
  const { state, error, dueAt, claimed } = await showParked(database, id);
  return { state, error, dueAt, claimed };
}
