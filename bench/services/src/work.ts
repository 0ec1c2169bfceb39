import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { z } from 'zod';
import type { Item } from './contracts.js';
import { runLoad } from './load.js';

/** What a service does on command: write a row and tell of it. */
export abstract class Commands {
  abstract run(item: Item): Promise<void>;
}

const load = z.strictObject({
  seconds: z.number(),
  count: z.int().optional(),
  concurrency: z.int().optional(),
  rate: z.number().optional(),
  buckets: z.int().optional(),
  hot: z.boolean().optional(),
});

@Controller('work')
export class WorkController {
  constructor(@Inject(Commands) private readonly commands: Commands) {}

  @Post()
  @HttpCode(200)
  work(@Body({ schema: load }) options: z.infer<typeof load>) {
    return runLoad(options, (item) => this.commands.run(item));
  }
}
