import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { z } from 'zod';
import { Progress } from './progress.js';

const reset = z.strictObject({ keepTimes: z.boolean() });

@Controller('progress')
export class ProgressController {
  constructor(private readonly progress: Progress) {}

  @Get()
  read() {
    return this.progress.read();
  }

  @Get('times')
  times() {
    return Object.fromEntries(this.progress.times);
  }

  @Post('reset')
  @HttpCode(204)
  reset(@Body({ schema: reset }) { keepTimes }: z.infer<typeof reset>): void {
    this.progress.reset(keepTimes);
  }
}
