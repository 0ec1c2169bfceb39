import { builtApp } from './built-app.js';
import { eventually } from './eventually.js';
import { httpClient, type TestHttp } from './http-client.js';
import { NEVER } from './test-service.js';
import { startProcess, type TestProcess } from './test-process.js';

export interface ServiceProcess extends TestProcess {
  readonly http: TestHttp;
}

export interface ServiceProcessOptions {
  /** Another build than that of `npm start`. */
  program?: string;
  port: number;
  databaseUrl: string;
  rabbitmqUrl: string;
  env?: Record<string, string>;
  /** Returns when it answers HTTP, connected to the broker or not. */
  doNotWait?: boolean;
}

/** A start takes a second of CPU, which a machine that runs other tests may not have for a while. */
const BUSY_MACHINE_MS = 60_000;

/** Starts an app as `npm start` does, in a process of its own. Waits until it is ready. */
export async function startServiceProcess(service: string, options: ServiceProcessOptions): Promise<ServiceProcess> {
  const { port, databaseUrl, rabbitmqUrl, env } = options;
  const program = options.program ?? (await builtApp(service));
  const prefix = service.toUpperCase();
  const running = await startProcess(process.execPath, ['--enable-source-maps', program], {
    env: {
      [`${prefix}_PORT`]: String(port),
      [`${prefix}_DATABASE_URL`]: databaseUrl,
      RABBITMQ_URL: rabbitmqUrl,
      HOST: '127.0.0.1',
      LOG_FORMAT: 'json',
      BOOKS_INTERVAL_MS: NEVER,
      ...env,
    },
    readyUrl: `http://127.0.0.1:${port}/health/live`,
    readyTimeoutMs: BUSY_MACHINE_MS,
  });
  const http = httpClient(() => `http://127.0.0.1:${port}`);
  if (!options.doNotWait) {
    await eventually(
      async () => {
        const { body } = await http('GET', '/health/ready');
        if ((body as { status: string }).status !== 'ok') throw new Error(`not ready: ${JSON.stringify(body)}`);
      },
      { timeoutMs: BUSY_MACHINE_MS },
    );
  }
  return { ...running, http };
}
