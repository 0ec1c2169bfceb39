import { Controller, Get, Global, Header, Injectable, Module, Res, type OnModuleDestroy } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';

/** The state of one thing that the service depends on. `degraded`: works, but somebody should look. */
export interface Health {
  status: 'up' | 'degraded' | 'down';
  reason?: string;
  [detail: string]: unknown;
}

type Check = () => Promise<Health> | Health;

/** What `GET /health/ready` answers. */
export interface Readiness {
  status: 'ok' | 'degraded' | 'error' | 'shutting_down';
  checks: Record<string, Health>;
}

/** A check that takes longer counts as down. */
const CHECK_TIMEOUT_MS = 2000;

/** The place where a part of the service says how it can be told whether that part works. */
@Injectable()
export class HealthRegistry implements OnModuleDestroy {
  private readonly checks = new Map<string, { check: Check; running?: Promise<Health> }>();
  private shuttingDown = false;

  /** `name` is what operators read, such as `database`; a second registration replaces the first. `check` may throw or hang. */
  register(name: string, check: Check): void {
    this.checks.set(name, { check });
  }

  /** Runs all checks side by side; takes at most two seconds and never throws. */
  async readiness(): Promise<Readiness> {
    const names = [...this.checks.keys()];
    const states = await Promise.all(names.map((name) => this.run(name)));
    const checks = Object.fromEntries(names.map((name, i) => [name, states[i] as Health]));
    return { status: this.shuttingDown ? 'shutting_down' : worst(states), checks };
  }

  /** From now on not ready: no new requests, please, while the rest finishes. */
  shutDown(): void {
    this.shuttingDown = true;
  }

  /** For an app that is closed without `bootstrap`. */
  onModuleDestroy(): void {
    this.shutDown();
  }

  private async run(name: string): Promise<Health> {
    const entry = this.checks.get(name);
    if (entry === undefined) return { status: 'down', reason: 'not registered' };
    // A check that hangs is not started again by every probe: that would pile up connections.
    entry.running ??= attempt(entry.check).finally(() => (entry.running = undefined));
    return withTimeout(entry.running);
  }
}

async function attempt(check: Check): Promise<Health> {
  try {
    return await check();
  } catch (error) {
    return { status: 'down', reason: error instanceof Error ? error.message || error.name : String(error) };
  }
}

async function withTimeout(running: Promise<Health>): Promise<Health> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<Health>((resolve) => {
    const reason = `no answer within ${CHECK_TIMEOUT_MS} ms`;
    timer = setTimeout(() => resolve({ status: 'down', reason }), CHECK_TIMEOUT_MS);
  });
  try {
    return await Promise.race([running, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function worst(states: Health[]): Readiness['status'] {
  if (states.some(({ status }) => status === 'down')) return 'error';
  return states.some(({ status }) => status === 'degraded') ? 'degraded' : 'ok';
}

@ApiTags('operations')
@Controller('health')
class HealthController {
  constructor(private readonly registry: HealthRegistry) {}

  @Get('live')
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'Whether the process runs; if not, restart it' })
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  @Get('ready')
  @Header('cache-control', 'no-store')
  @ApiOperation({ summary: 'Whether the service can do its work; 503 if not' })
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.registry.readiness();
    reply.status(readiness.status === 'ok' || readiness.status === 'degraded' ? 200 : 503);
    return readiness;
  }
}

/** `GET /health/live` and `/health/ready`. Global: `HealthRegistry` can be injected everywhere. */
@Global()
@Module({ controllers: [HealthController], providers: [HealthRegistry], exports: [HealthRegistry] })
export class HealthModule {}
