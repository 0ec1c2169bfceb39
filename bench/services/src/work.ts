// Runs commands inside of the service, so that no HTTP client takes part of the machine: as many at a time as asked for, or
// at a given rate.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Body, Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { z } from 'zod';
import type { Item } from './contracts.js';
import { now } from './progress.js';

/** What a service does on command: write a row and tell of it. */
export abstract class Commands {
  abstract run(item: Item): Promise<void>;
}

const work = z.strictObject({
  seconds: z.number(),
  count: z.int().optional(),
  concurrency: z.int().optional(),
  /** Commands per second, evenly spread; instead of a concurrency. */
  rate: z.number().optional(),
  /** Shared rows that the events add to. */
  buckets: z.int().optional(),
});

@Controller('work')
export class WorkController {
  constructor(@Inject(Commands) private readonly commands: Commands) {}

  @Post()
  @HttpCode(200)
  async work(@Body({ schema: work }) options: z.infer<typeof work>) {
    const { seconds, count = Infinity, concurrency = 1, rate, buckets = 1 } = options;
    const started = now();
    const latencies: number[] = [];
    let sent = 0;
    const one = async () => {
      const before = now();
      await this.commands.run(itemOf(sent++ % buckets));
      latencies.push(now() - before);
    };
    const goesOn = () => sent < count && now() - started < seconds * 1_000;
    const atATime = async () => {
      while (goesOn()) await one();
    };
    const evenly = async (perSecond: number) => {
      const running: Promise<void>[] = [];
      while (goesOn()) {
        const due = started + (sent / perSecond) * 1_000;
        if (due > now()) await sleep(due - now());
        else running.push(one());
      }
      await Promise.all(running);
    };
    await (rate ? evenly(rate) : Promise.all(Array.from({ length: concurrency }, atATime)));
    return { done: sent, seconds: (now() - started) / 1_000, latencies: percentiles(latencies) };
  }
}

const itemOf = (bucket: number): Item => ({
  itemId: randomUUID(),
  version: 1,
  bucket,
  amount: 1,
  note: 'x'.repeat(80),
});

function percentiles(values: number[]) {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
