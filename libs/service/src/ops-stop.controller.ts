import { Body, Controller, HttpCode, Param, Post, UseGuards, UseInterceptors } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { operations, Pauses } from '@app/messaging';
import { z } from 'zod';
import { ServiceConfig } from './config.js';
import { Caller, OpsErrors, OpsGuard } from './ops-access.js';
import { OpsDatabase } from './ops-database.js';
import { action, actionOf, certain, confirmable } from './ops-schemas.js';
import { uuidParam } from './validation.js';

const name = z.string().min(1).max(200);
const scoped = action.unwrap().extend({ scope: name });
const replay = action.unwrap().extend({ inbox: name.optional() }).prefault({});
const refused = action
  .unwrap()
  .extend({ positions: z.array(z.string().regex(/^\d{1,18}$/)).optional() })
  .prefault({});
const final = confirmable.refine(...certain);
const release = confirmable
  .extend({ source: name, epoch: z.uuid().optional(), inbox: name.optional() })
  .refine(...certain);
const removal = confirmable
  .extend({ service: z.string().regex(/^[a-z][a-z0-9-]*$/), inbox: name.optional() })
  .refine(...certain);

/** Stopping, going on, and starting over. */
@ApiTags('operations')
@ApiBearerAuth()
@UseGuards(OpsGuard)
@UseInterceptors(OpsErrors)
@Controller('ops')
export class OpsStopController {
  constructor(
    private readonly database: OpsDatabase,
    private readonly pauses: Pauses,
    private readonly config: ServiceConfig,
  ) {}

  @Post('pause')
  @HttpCode(200)
  @ApiOperation({ summary: 'Stop the relay, an inbox or one reaction' })
  async pause(@Body({ schema: scoped }) body: z.infer<typeof scoped>, @Caller() caller: string) {
    const effect = await operations.pauseScope(this.database, body.scope, actionOf(caller, body));
    await this.pauses.refresh();
    return effect;
  }

  @Post('resume')
  @HttpCode(200)
  @ApiOperation({ summary: 'Let go on what was paused' })
  async resume(@Body({ schema: scoped }) body: z.infer<typeof scoped>, @Caller() caller: string) {
    const effect = await operations.resumeScope(this.database, body.scope, actionOf(caller, body));
    await this.pauses.refresh();
    return effect;
  }

  @Post('replay')
  @HttpCode(200)
  @ApiOperation({ summary: 'Look at the books now and pull what is missing' })
  replay(@Body({ schema: replay }) body: z.infer<typeof replay>, @Caller() caller: string) {
    return operations.requestReplay(this.database, body, actionOf(caller, body));
  }

  @Post('outbox/release')
  @HttpCode(200)
  @ApiOperation({ summary: 'Publish events again that the broker has refused' })
  releaseEvents(@Body({ schema: refused }) body: z.infer<typeof refused>, @Caller() caller: string) {
    return operations.releaseEvents(this.database, body.positions, actionOf(caller, body));
  }

  @Post('timers/retry')
  @HttpCode(200)
  @ApiOperation({ summary: 'Try timers again whose events could not be recorded' })
  retryTimers(@Body({ schema: action }) body: z.infer<typeof action>, @Caller() caller: string) {
    return operations.retryTimers(this.database, actionOf(caller, body));
  }

  @Post('timers/:id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Remove a timer: its event is never recorded' })
  cancelTimer(
    @Param('id', { schema: uuidParam }) id: string,
    @Body({ schema: final }) body: z.infer<typeof final>,
    @Caller() caller: string,
  ) {
    return operations.cancelTimer(this.database, id, actionOf(caller, body));
  }

  @Post('inboxes/:inbox/rebuild')
  @HttpCode(200)
  @ApiOperation({ summary: "Reset a projection's inbox: all of history is applied again" })
  rebuild(
    @Param('inbox', { schema: name }) inbox: string,
    @Body({ schema: final }) body: z.infer<typeof final>,
    @Caller() caller: string,
  ) {
    return operations.rebuildInbox(this.database, this.config.service, inbox, actionOf(caller, body));
  }

  @Post('log/new-epoch')
  @HttpCode(200)
  @ApiOperation({ summary: 'Begin a new life of the log, after the database was restored to an older state' })
  newEpoch(@Body({ schema: final }) body: z.infer<typeof final>, @Caller() caller: string) {
    return operations.startEpoch(this.database, actionOf(caller, body));
  }

  @Post('holds/release')
  @HttpCode(200)
  @ApiOperation({ summary: 'Let a held log flow again, or, with its epoch, one that was closed' })
  release(@Body({ schema: release }) body: z.infer<typeof release>, @Caller() caller: string) {
    return operations.releaseHold(this.database, body, actionOf(caller, body));
  }

  @Post('holds/close')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Drop what is parked of a held log, and what still comes; its owner must have begun a new epoch',
  })
  close(@Body({ schema: release }) body: z.infer<typeof release>, @Caller() caller: string) {
    return operations.closeHold(this.database, body, actionOf(caller, body));
  }

  @Post('detach')
  @HttpCode(200)
  @ApiOperation({ summary: 'Take a removed service away from the broker' })
  async detach(@Body({ schema: removal }) body: z.infer<typeof removal>, @Caller() caller: string) {
    const { service, inbox, dryRun, reason } = body;
    const found = await operations.attachments(this.config.rabbitmqUrls, service, inbox);
    if (dryRun) return { found, affected: found.length };
    const effect = await operations.detach(this.config.rabbitmqUrls, found);
    const parameters = {
      service,
      inbox: inbox ?? null,
      objects: found.map((object) => object.name),
      kept: effect.kept,
    };
    const { affected } = effect;
    await this.database.transaction((tx) =>
      operations.audit(tx, { who: caller, reason, action: 'detach', parameters, affected }),
    );
    return { found, ...effect };
  }
}
