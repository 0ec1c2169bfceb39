import { Controller, Get, Query, Res, UseGuards, UseInterceptors } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { operations } from '@app/messaging';
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { OpsErrors, OpsGuard } from './ops-access.js';
import { OpsDatabase } from './ops-database.js';

const limited = z.strictObject({ limit: z.coerce.number().int().min(1).max(1_000).default(50) });
const timers = limited.extend({ failed: z.enum(['true', 'false']).default('false') });
const followed = z.strictObject({
  type: z.string().max(1_000).optional(),
  subject: z.string().max(200).optional(),
  since: z.string().max(50).optional(),
  once: z.enum(['true', 'false']).default('false'),
});

/** How the service's events are doing. Reads only. */
@ApiTags('operations')
@ApiBearerAuth()
@UseGuards(OpsGuard)
@UseInterceptors(OpsErrors)
@Controller('ops')
export class OpsStateController {
  constructor(private readonly database: OpsDatabase) {}

  @Get()
  @ApiOperation({ summary: 'Everything at a glance' })
  overview() {
    return operations.overview(this.database);
  }

  @Get('outbox')
  @ApiOperation({ summary: 'What waits to be published, why, and which process publishes' })
  outbox() {
    return operations.outboxStatus(this.database);
  }

  @Get('timers')
  @ApiOperation({ summary: 'Events that are to be recorded later' })
  async timers() {
    return { timers: await operations.timersStatus(this.database) };
  }

  @Get('timers/list')
  @ApiOperation({ summary: 'The next timers, or those whose event cannot be recorded' })
  async listTimers(@Query({ schema: timers }) { limit, failed }: z.infer<typeof timers>) {
    return { timers: await operations.listTimers(this.database, { limit, failed: failed === 'true' }) };
  }

  @Get('books')
  @ApiOperation({
    summary: 'What of which log was applied, up to which page it balances; what its own log has recorded',
  })
  async books() {
    const [accounts, recorded] = await Promise.all([
      operations.accounts(this.database),
      operations.recorded(this.database),
    ]);
    return { accounts, recorded };
  }

  @Get('log')
  @ApiOperation({ summary: "The service's own log" })
  log() {
    return operations.logStatus(this.database);
  }

  @Get('holds')
  @ApiOperation({ summary: 'Logs that contradict what was applied' })
  async holds() {
    return { holds: await operations.listHolds(this.database) };
  }

  @Get('inboxes')
  @ApiOperation({ summary: 'The inboxes of the service' })
  async inboxes() {
    return { inboxes: await operations.inboxes(this.database) };
  }

  @Get('pauses')
  @ApiOperation({ summary: 'What is paused, by whom and why' })
  async pauses() {
    return { pauses: await operations.listPauses(this.database) };
  }

  @Get('audit')
  @ApiOperation({ summary: 'Who did what, when and why; the newest first' })
  async audit(@Query({ schema: limited }) { limit }: z.infer<typeof limited>) {
    return { audit: await operations.listAudit(this.database, { limit }) };
  }

  @Get('tail')
  @ApiOperation({ summary: 'Events as they are recorded, one JSON object per line' })
  tail(@Query({ schema: followed }) query: z.infer<typeof followed>, @Res() reply: FastifyReply): void {
    const { type, subject, since, once } = query;
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const events = operations.tail(this.database, {
      types: type?.split(','),
      subject,
      since: since === undefined ? undefined : operations.parseSince(since),
      once: once === 'true',
      signal: gone.signal,
    });
    void reply.header('content-type', 'application/x-ndjson').header('cache-control', 'no-store').send(lines(events));
  }
}

function lines(events: AsyncIterable<object>): Readable {
  async function* encode() {
    for await (const event of events) yield `${JSON.stringify(event)}\n`;
  }
  return Readable.from(encode());
}
