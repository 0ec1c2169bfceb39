// What commands that act have in common: asking back with a count, and saying what became of each.
import { OperationError, type ActionOptions, type Effect } from '../operation.js';
import type { Context, Output } from './command.js';

/** One after the other; what cannot be done does not keep the others from being done, nor from being reported. */
export async function actOnEach(
  { args, action }: Pick<Context, 'args' | 'action'>,
  act: (id: string) => Promise<string>,
): Promise<Output> {
  const results: { id: string; result: string }[] = [];
  const refused: { id: string; reason: string }[] = [];
  let broken = false;
  for (const id of args) {
    try {
      if (broken) throw new OperationError('conflict', 'not tried');
      results.push({ id, result: await act(id) });
    } catch (error) {
      // Such as a database that has just gone: what was done before is worth more than the rest of the attempts.
      broken ||= !(error instanceof OperationError);
      if ((broken && results.length === 0) || args.length === 1) throw error;
      refused.push({ id, reason: (error as Error).message });
    }
  }
  const lines = [
    ...results.map(({ id, result }) => `${id}: ${result}`),
    ...refused.map(({ id, reason }) => `${id}: ${reason}`),
  ];
  const json = { affected: results.length, results, refused, dryRun: action.dryRun ?? false };
  return { json, text: lines.join('\n'), incomplete: refused.length > 0 };
}

/** A whole group: a rehearsal says how many there are, and the operator is asked before they are changed. */
export async function actOnAll<Result extends Effect>(
  { action, confirm }: Pick<Context, 'action' | 'confirm'>,
  act: (options: ActionOptions) => Promise<Result>,
  question: (count: number) => string | Promise<string>,
): Promise<Result> {
  if (!action.dryRun) {
    const { affected } = await act({ ...action, dryRun: true });
    if (affected > 0) await confirm(await question(affected));
  }
  return act(action);
}
