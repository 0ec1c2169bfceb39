// Lets a test stop the process at an exact point of the code: FAILPOINTS="relay.afterConfirm=kill@3;relay.afterRead=pause:5000".
// Does nothing unless NODE_ENV is "test" and FAILPOINTS is set.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

interface Armed {
  action: string;
  /** For `pause`, in ms. */
  value: number;
  /** Acts at this hit only; 0: at every one. */
  at: number;
  hits: number;
}

const ACTIONS: Record<string, (name: string, value: number) => Promise<unknown>> = {
  kill: () => signal('SIGKILL'),
  stop: () => signal('SIGSTOP'),
  pause: (_, ms) => sleep(ms),
  throw: (name) => Promise.reject(new Error(`failpoint ${name}`)),
};

const armed =
  process.env.NODE_ENV === 'test' ? parseFailpoints(process.env.FAILPOINTS ?? '') : new Map<string, Armed>();

/**
 * A place where a test may stop this process. Actions:
 *
 * - `kill`: SIGKILL, as soon as what was written before is on its way;
 * - `stop`: SIGSTOP, until somebody sends SIGCONT;
 * - `pause:<ms>`: waits here, while the rest of the process goes on;
 * - `throw`: throws an error.
 *
 * `@n` lets it act at the n-th hit only, e.g. `kill@3`.
 */
export async function failpoint(name: string): Promise<void> {
  const point = armed.get(name);
  if (!point) return;
  point.hits++;
  if (point.at !== 0 && point.at !== point.hits) return;
  await ACTIONS[point.action]!(name, point.value);
}

async function signal(name: NodeJS.Signals): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await nextTurn(); // sockets are written to at the end of a turn
  process.kill(process.pid, name);
  await nextTurn();
}

/** @throws Error that names what is wrong, because a failpoint that is misspelt tests nothing */
export function parseFailpoints(text: string): Map<string, Armed> {
  const points = text.split(';').filter((part) => part.trim() !== '');
  return new Map(
    points.map((part) => {
      const match = /^\s*(?<name>[\w.]+)=(?<action>\w+)(?::(?<value>\d+))?(?:@(?<at>\d+))?\s*$/.exec(part);
      const { name, action, value = '0', at = '0' } = match?.groups ?? {};
      if (!name || !action || !Object.hasOwn(ACTIONS, action)) {
        throw new Error(`FAILPOINTS: "${part}" is not <name>=<${Object.keys(ACTIONS).join('|')}>[:<ms>][@<hit>]`);
      }
      return [name, { action, value: Number(value), at: Number(at), hits: 0 }];
    }),
  );
}
