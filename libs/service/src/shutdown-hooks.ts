import type { INestApplication } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';

const hooks = ['onModuleDestroy', 'beforeApplicationShutdown', 'onApplicationShutdown'] as const;
type Hooks = Partial<Record<(typeof hooks)[number], (...args: unknown[]) => unknown>>;

/** Makes the shutdown hooks of all providers tell when they begin and end; returns those that have begun and not ended. */
export function watchShutdownHooks(app: INestApplication): () => string[] {
  const running = new Set<string>();
  const seen = new Set<unknown>();
  for (const module of app.get(ModulesContainer).values()) {
    for (const { instance } of [...module.providers.values(), ...module.controllers.values()]) {
      if (typeof instance !== 'object' || instance === null || seen.has(instance)) continue;
      seen.add(instance);
      for (const hook of hooks) watch(instance, hook, running);
    }
  }
  return () => [...running];
}

function watch(instance: Hooks, hook: (typeof hooks)[number], running: Set<string>): void {
  const original = instance[hook];
  if (typeof original !== 'function') return;
  const label = `${instance.constructor.name}.${hook}`;
  instance[hook] = async (...args: unknown[]) => {
    running.add(label);
    try {
      return await original.apply(instance, args);
    } finally {
      running.delete(label);
    }
  };
}
