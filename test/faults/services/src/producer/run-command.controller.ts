import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { CommandBus } from '@nestjs/cqrs';
import { z } from 'zod';
import { FLAGS } from '../contracts.js';
import { RunCommand } from './run-command.handler.js';

const command = z.strictObject({
  /** Chosen by the client, which may repeat the command. */
  id: z.string(),
  accountId: z.string(),
  events: z
    .array(
      z.strictObject({
        /** Such as `account.credited`. */
        name: z.string(),
        amount: z.int(),
        flag: z.enum(FLAGS).optional(),
        paddingBytes: z.int().optional(),
        /** Recorded by a timer, so long after the command. */
        afterMs: z.int().optional(),
      }),
    )
    .min(1)
    .max(50),
  /** Keeps the transaction open, so that positions commit out of order. */
  pauseMs: z.int().optional(),
  /** `write-only`: reads nothing, so that it may be committed together with others. */
  mode: z.enum(['write-only', 'roll-back', 'swallow']).optional(),
});
export type CommandBody = z.infer<typeof command>;

@Controller('commands')
export class RunCommandController {
  constructor(private readonly commands: CommandBus) {}

  @Post()
  @HttpCode(200)
  async run(@Body({ schema: command }) body: CommandBody) {
    return { id: body.id, outcome: await this.commands.execute(new RunCommand(body)) };
  }
}
