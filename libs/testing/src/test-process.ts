import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { projectDir } from './environment.js';
import { forget, guard } from './guardian.js';

export interface TestProcess {
  readonly pid: number;
  /** Everything it has printed so far. */
  output(): string;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Sends the signal and waits for the end; after ten seconds it is killed. */
  stop(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/**
 * Starts a program, for instance a built app, in the project's folder.
 * @param options.env is added to ours
 * @param options.readyUrl if given, waits until it answers 2xx
 * @throws with its output, if it ends or takes longer than `readyTimeoutMs` before it is ready
 */
export async function startProcess(
  command: string,
  args: string[],
  {
    env = {},
    readyUrl,
    readyTimeoutMs = 20_000,
  }: { env?: Record<string, string | undefined>; readyUrl?: string; readyTimeoutMs?: number } = {},
): Promise<TestProcess> {
  const child = spawn(command, args, {
    cwd: projectDir,
    env: { ...process.env, ...env },
    detached: true, // a Ctrl-C for the tests is not for it
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  const pid = child.pid as number;
  guard(pid);
  const exit: TestProcess['exit'] = new Promise((resolve) => {
    child.once('close', (code, signal) => {
      forget(pid);
      resolve({ code, signal });
    });
  });
  const stop: TestProcess['stop'] = async (signal = 'SIGTERM') => {
    child.kill(signal);
    const force = setTimeout(() => child.kill('SIGKILL'), 10_000);
    const end = await exit;
    clearTimeout(force);
    return end;
  };
  if (readyUrl)
    await ready(
      readyUrl,
      readyTimeoutMs,
      () => child.exitCode ?? child.signalCode,
      stop,
      () => output,
    );
  return { pid, output: () => output, exit, stop };
}

async function ready(
  url: string,
  timeoutMs: number,
  ended: () => number | NodeJS.Signals | null,
  stop: TestProcess['stop'],
  output: () => string,
) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (ended() !== null) throw new Error(`ended (${ended()}) before ${url} was ready:\n${output()}`);
    if (performance.now() > deadline) {
      await stop('SIGKILL');
      throw new Error(`${url} was not ready after ${timeoutMs} ms:\n${output()}`);
    }
    if (await answers(url)) return;
    await delay(25);
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
