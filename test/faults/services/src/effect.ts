// Every reaction writes down that it ran, for the checker.
import { currentContext, sabotaged } from '@app/context';
import { parseEventType } from '@app/contracts';
import type { Database } from '@app/database';
import type { FaultsTables } from './tables.js';

interface Applying {
  envelope: {
    id: string;
    type: string;
    source: string;
    subject?: string;
    epoch?: string;
    sequence?: number;
    position?: number;
  };
}

/** Writes an effect of the event that is being applied, in its transaction. */
export async function writeEffect(database: Database<FaultsTables>, reaction: string): Promise<void> {
  const { envelope } = currentContext()!.event as Applying;
  const { id, type, source, subject = '', epoch = null, sequence = null, position = null } = envelope;
  const aggregate = parseEventType(type)?.aggregate ?? '';
  const consumer = process.env.FAULTS_SERVICE ?? '';
  await (sabotaged('effects-in-own-transaction') ? database.read : database.tx)
    .insertInto('effects')
    .values({ consumer, reaction, event_id: id, type, source, epoch, aggregate, subject, sequence, position })
    .execute();
}
