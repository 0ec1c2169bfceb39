// Runs commands inside of the service, so that no HTTP client takes part of the machine: as many at a time as asked for, or
// at a given rate.
import { newId } from '@app/database';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Item } from './contracts.js';
import { now } from './progress.js';

export interface Load {
  seconds: number;
  /** Commands at most. */
  count?: number | undefined;
  concurrency?: number | undefined;
  /** Commands per second, evenly spread; instead of a concurrency. */
  rate?: number | undefined;
  /** Shared rows that the events add to. */
  buckets?: number | undefined;
  /** All of them change the same item, and so belong to one stream. */
  hot?: boolean | undefined;
}

/** Runs `command` for as long and as often as `load` says. */
export async function runLoad(load: Load, command: (item: Item) => Promise<void>) {
  const { seconds, count = Infinity, concurrency = 1, rate, buckets = 1, hot = false } = load;
  const started = now();
  const latencies: number[] = [];
  const hotItem = hot ? newId() : undefined;
  let sent = 0;
  const one = async () => {
    const before = now();
    const number = sent++;
    await command(itemOf(hotItem ?? newId(), hot ? number + 1 : 1, number % buckets));
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

const itemOf = (itemId: string, version: number, bucket: number): Item => ({
  ...{ itemId, version, bucket },
  amount: 1,
  note: 'x'.repeat(80),
});

function percentiles(values: number[]) {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
