import { findContract } from '@app/contracts';
import type { Type } from '@nestjs/common';
import { PATTERN_METADATA } from '@nestjs/microservices/constants.js';

// @nestjs/cqrs does not export them.
const HANDLERS = { events: '__eventsHandler__', commands: '__commandHandler__', queries: '__queryHandler__' };

/** What a root module declares itself. */
const declared = (module: Type, kind: 'controllers' | 'providers'): Type[] =>
  ((Reflect.getMetadata(kind, module) as unknown[] | undefined) ?? []).filter(
    (item) => typeof item === 'function',
  ) as Type[];

/** The events that a class handles, if it is a reaction. */
const handledBy = (candidate: Type): Type[] =>
  (Reflect.getMetadata(HANDLERS.events, candidate) as Type[] | undefined) ?? [];

function patternsOf(module: Type): string[] {
  return declared(module, 'controllers').flatMap(({ prototype }) => {
    const methods = Object.getOwnPropertyDescriptors(prototype as Record<string, unknown>);
    return Object.values(methods).flatMap(({ value }) =>
      typeof value === 'function' ? ((Reflect.getMetadata(PATTERN_METADATA, value) as string[] | undefined) ?? []) : [],
    );
  });
}

/** Which reactions of a service there are to which events. */
export const reactionsOf = (module: Type): { type: string; reaction: string }[] =>
  declared(module, 'providers').flatMap((provider) =>
    handledBy(provider).map((event) => ({
      type: (event as unknown as { type: string }).type,
      reaction: provider.name,
    })),
  );

/**
 * What a service has forgotten between its queue and its reactions, without starting it.
 *
 * @param exports everything that its slices export
 * @returns one sentence per problem; empty: all is well
 */
export function wiringProblems(module: Type, exports: readonly unknown[] = []): string[] {
  const patterns = patternsOf(module);
  const [controllers, providers] = [declared(module, 'controllers'), declared(module, 'providers')];
  const reactions = reactionsOf(module);
  const twice = patterns.filter((type, index) => patterns.indexOf(type) !== index);
  const classes = exports.filter((item): item is Type => typeof item === 'function');
  const isHandler = (item: Type) => Object.values(HANDLERS).some((key) => Reflect.hasOwnMetadata(key, item));
  return [
    ...twice.map((type) => `@EventPattern('${type}') stands there twice; keep one`),
    ...patterns
      .filter((type) => !findContract(type))
      .map((type) => `no contract has the name of @EventPattern('${type}')`),
    ...patterns
      .filter((type) => !reactions.some((reaction) => reaction.type === type))
      .map((type) => `nothing reacts to @EventPattern('${type}'); remove it or provide the reaction`),
    ...reactions
      .filter(({ type }) => !patterns.includes(type))
      .map(
        ({ reaction, type }) =>
          `${reaction} never runs: there is no @EventPattern('${type}') in subscriptions.controller.ts`,
      ),
    ...classes
      .filter((item) => isHandler(item) && !providers.includes(item))
      .map(({ name }) => `${name} is not among the providers of ${module.name}`),
    ...classes
      .filter((item) => Reflect.hasOwnMetadata('__controller__', item) && !controllers.includes(item))
      .map(({ name }) => `${name} is not among the controllers of ${module.name}`),
  ];
}
