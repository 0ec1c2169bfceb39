// A client as it should be: it repeats what was not answered, with the same Idempotency-Key, and notes what must not happen.
import { setTimeout as delay } from 'node:timers/promises';
import type { TestHttp, TestResponse } from '@app/testing';

/** Longer than a service is away. */
const PATIENCE_MS = 120_000;
const PAUSE_MS = 40;

export class Client {
  /** Answers that should not have been given. */
  readonly problems: string[] = [];
  /** Requests that had to be sent again. */
  repeated = 0;

  /**
   * Sends a request until it is answered for good; one that acts twice needs an Idempotency-Key.
   *
   * @param expected statuses, asked for when the answer is there; anything else is a problem
   */
  async insist(
    http: TestHttp,
    expected: () => readonly number[],
    ...[method, path, body, headers]: Parameters<TestHttp>
  ): Promise<TestResponse> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline) {
      const answer = await http(method, path, body, headers).catch(() => undefined);
      if (answer && !isForNow(answer)) {
        if (!expected().includes(answer.status)) {
          this.problems.push(`${method} ${path} was answered with ${answer.status} ${JSON.stringify(answer.body)}`);
        }
        return answer;
      }
      this.repeated += 1;
      await delay(PAUSE_MS);
    }
    throw new Error(`${method} ${path} was not answered within ${PATIENCE_MS / 1000} s`);
  }
}

/** The service is starting or stopping, or is still busy with the same request. */
const isForNow = ({ status, headers }: TestResponse): boolean =>
  status === 503 || (status === 409 && headers.has('retry-after'));
