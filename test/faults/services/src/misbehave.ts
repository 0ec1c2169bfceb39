// What the load driver may ask of a reaction, until somebody repairs it (a row in the table `repaired`).
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '@app/database';
import type { Entry } from './contracts.js';
import type { FaultsTables } from './tables.js';

/** Longer than a live reaction may take, shorter than a worker allows. */
const SLOW_MS = 2_500;

/** A figure from 0 to 1 that depends on the event and the seed only. */
function chance({ commandId, index }: Entry): number {
  let hash = 2166136261;
  for (const character of `${process.env.FAULTS_SEED}/${commandId}/${index}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 16777619);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507);
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32;
}

/**
 * Whether `reaction` is to fail now, as that `share` of events does, the first time – whichever process asks. An event that
 * misbehaves already is spared: three failures of its own and this one, and its next turn would be five minutes later.
 */
export function failsAtRandom(reaction: string, event: Entry, share: number): boolean {
  return !event.flag && chance(event) < share && isFirst(reaction, event);
}

function isFirst(reaction: string, { commandId, index }: Entry): boolean {
  try {
    writeFileSync(path.join(process.env.FAULTS_DIR!, `${reaction}-${commandId}-${index}.failed`), '', { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** What every reaction takes at least, for scenarios with a slow consumer. */
const PAUSE_MS = Number(process.env.FAULTS_PAUSE_MS ?? 0);

export async function misbehave(entry: Entry, database: Database<FaultsTables>): Promise<void> {
  const { flag } = entry;
  if (PAUSE_MS > 0) await sleep(PAUSE_MS);
  if (!flag) return;
  if (flag === 'slow') return sleep(SLOW_MS);
  const repaired = await database.tx.selectFrom('repaired').where('flag', '=', flag).select('flag').executeTakeFirst();
  if (repaired) return;
  if (flag === 'throws') throw new Error('poison: this reaction throws');
  if (flag === 'aborts') process.abort();
  if (flag === 'hangs') await new Promise(() => {});
  for (const until = Date.now() + 120_000; Date.now() < until;); // blocks
}
