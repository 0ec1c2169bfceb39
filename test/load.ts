import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, type TestHttp } from '@app/testing';

export interface Load {
  /** Of every user whose registration was answered with 201. */
  readonly accepted: readonly string[];
  /** Answers that are neither 201 nor a failure to connect. */
  readonly refused: readonly string[];
  /** Between two requests of a client; 0 at first. */
  pauseMs: number;
  /** Waits until `count` more users were accepted. */
  more(count: number): Promise<void>;
  /** @returns when the last request is over */
  stop(): Promise<void>;
}

/** Registers users from several clients at once, whatever happens, until it is stopped. */
export function startLoad(http: TestHttp, clients = 8): Load {
  const accepted: string[] = [];
  const refused: string[] = [];
  let running = true;
  const client = async () => {
    while (running) {
      try {
        const { status, body } = await http('POST', '/users', { name: 'Load', email: `${randomUUID()}@example.com` });
        if (status === 201) accepted.push((body as { id: string }).id);
        else refused.push(`${status} ${JSON.stringify(body)}`);
        if (load.pauseMs > 0) await delay(load.pauseMs);
      } catch {
        await delay(20); // the service is away
      }
    }
  };
  const load: Load = {
    accepted,
    refused,
    pauseMs: 0,
    more: async (count) => {
      const goal = accepted.length + count;
      await eventually(
        () => {
          if (accepted.length < goal) throw new Error(`${goal - accepted.length} of ${count} users are still to come`);
        },
        { timeoutMs: 30_000 },
      );
    },
    stop: async () => {
      running = false;
      await Promise.all(clientsAtWork);
    },
  };
  const clientsAtWork = Array.from({ length: clients }, client);
  return load;
}
