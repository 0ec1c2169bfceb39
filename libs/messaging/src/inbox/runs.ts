import type { Item } from './item.js';
import type { Planned } from './reaction-runner.js';

/**
 * Gathers events that one call can take: the same type, all of whose reactions take many. The rest is a run of its own.
 * The runs are in the order in which to start them; grouping never changes the order within a stream.
 *
 * @param canJoin whether this event may share its run
 */
export function runsOf(planned: readonly Planned[], canJoin: (event: Planned) => boolean): Planned[][] {
  if (!planned.some(canJoin)) return planned.map((event) => [event]);
  const type = typeOf(planned[0]!);
  if (planned.every((event) => typeOf(event) === type && canJoin(event))) return [[...planned]];
  const runs: Planned[][] = [];
  const open = new Map<string, Planned[]>();
  const typeOfStream = new Map<string, string>();
  const close = (type: string | undefined) => {
    const run = type === undefined ? undefined : open.get(type);
    if (!run) return;
    runs.push(run);
    open.delete(type!);
  };
  for (const event of planned) {
    const type = typeOf(event);
    const stream = streamOf(event.item);
    const before = typeOfStream.get(stream);
    const joins = canJoin(event);
    if (!joins || before !== type) close(before); // its predecessor starts first
    if (!joins) {
      runs.push([event]);
      typeOfStream.delete(stream);
      continue;
    }
    const run = open.get(type);
    if (run) run.push(event);
    else open.set(type, [event]);
    typeOfStream.set(stream, type);
  }
  runs.push(...open.values());
  return runs;
}

const typeOf = ({ item }: Planned): string => item.envelope.type;

/** What orders it: its stream, or itself. */
export const streamOf = ({ envelope }: Item): string =>
  envelope.kind === 'logged' ? envelope.stream : `${envelope.source} ${envelope.subject ?? envelope.id}`;
