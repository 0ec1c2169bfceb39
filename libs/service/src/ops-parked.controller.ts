import { Body, Controller, Get, HttpCode, Param, Post, Query, UseGuards, UseInterceptors } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { operations } from '@app/messaging';
import { z } from 'zod';
import { Caller, OpsErrors, OpsGuard } from './ops-access.js';
import { OpsDatabase } from './ops-database.js';
import { action, actionOf, certain, confirmable } from './ops-schemas.js';

const id = z.string().regex(/^\d{1,18}$/, { error: 'must be the id of a parked event' });
const text = z.string().min(1).max(300);
const filter = z.strictObject({
  inbox: text.optional(),
  state: z.enum(['waiting', 'retry', 'slow', 'incompatible', 'dead']).optional(),
  type: text.optional(),
  error: text.optional(),
  source: text.optional(),
  subject: text.optional(),
  group: text.optional(),
});
const page = filter.extend({
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  after: id.default('0'),
});
const group = confirmable.extend({ filter: filter.default({}) }).refine(...certain);
const missing = confirmable
  .extend({
    source: text,
    aggregate: text,
    subject: text,
    sequence: z.int().min(1),
    inbox: text.optional(),
    epoch: z.uuid().optional(),
    page: z.int().min(0).optional(),
  })
  .refine(...certain);

/** Events that cannot be applied now. */
@ApiTags('operations')
@ApiBearerAuth()
@UseGuards(OpsGuard)
@UseInterceptors(OpsErrors)
@Controller('ops/parked')
export class OpsParkedController {
  constructor(private readonly database: OpsDatabase) {}

  @Get()
  @ApiOperation({ summary: 'Parked events, oldest first' })
  async list(@Query({ schema: page }) { limit, after, ...which }: z.infer<typeof page>) {
    return { events: await operations.listParked(this.database, which, { limit, after }) };
  }

  @Get('groups')
  @ApiOperation({ summary: 'Parked events by type and error' })
  async groups(@Query({ schema: filter }) which: z.infer<typeof filter>) {
    return { groups: await operations.parkedGroups(this.database, which) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'One parked event, with contents and error' })
  async show(@Param('id', { schema: id }) which: string) {
    const { raw, ...event } = await operations.showParked(this.database, which);
    return { ...event, ...(raw && { raw: raw.toString('base64') }) };
  }

  @Post('retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Try the first event of every matching stream again' })
  retryGroup(@Body({ schema: group }) body: z.infer<typeof group>, @Caller() caller: string) {
    return operations.retryGroup(this.database, body.filter, actionOf(caller, body));
  }

  @Post('skip')
  @HttpCode(200)
  @ApiOperation({ summary: 'Skip the first event of every matching stream' })
  skipGroup(@Body({ schema: group }) body: z.infer<typeof group>, @Caller() caller: string) {
    return operations.skipGroup(this.database, body.filter, actionOf(caller, body));
  }

  @Post('skip-missing')
  @HttpCode(200)
  @ApiOperation({ summary: 'Skip a sequence that never arrived' })
  skipMissing(@Body({ schema: missing }) body: z.infer<typeof missing>, @Caller() caller: string) {
    return operations.skipMissing(this.database, body, actionOf(caller, body));
  }

  @Post(':id/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Try one event again, now' })
  retry(
    @Param('id', { schema: id }) which: string,
    @Body({ schema: action }) body: z.infer<typeof action>,
    @Caller() caller: string,
  ) {
    return operations.retryParked(this.database, which, actionOf(caller, body));
  }

  @Post(':id/skip')
  @HttpCode(200)
  @ApiOperation({ summary: 'Let its stream go on without it' })
  skip(
    @Param('id', { schema: id }) which: string,
    @Body({ schema: action }) body: z.infer<typeof action>,
    @Caller() caller: string,
  ) {
    return operations.skipParked(this.database, which, actionOf(caller, body));
  }

  @Post(':id/discard')
  @HttpCode(200)
  @ApiOperation({ summary: 'Remove a message that belongs to no stream' })
  discard(
    @Param('id', { schema: id }) which: string,
    @Body({ schema: action }) body: z.infer<typeof action>,
    @Caller() caller: string,
  ) {
    return operations.discardParked(this.database, which, actionOf(caller, body));
  }
}
