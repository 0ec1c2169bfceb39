// Finds the @EventPattern methods that Nest puts nothing around. The inbox calls them itself: Nest's pipeline makes some thirty
// promises per event, empty or not, a fifth of what an ordinary event costs its service on Node 20 (ADR 4).
import {
  EXCEPTION_FILTERS_METADATA,
  GUARDS_METADATA,
  INTERCEPTORS_METADATA,
  PIPES_METADATA,
  ROUTE_ARGS_METADATA,
} from '@nestjs/common/constants.js';
import { MetadataScanner, type ApplicationConfig, type NestContainer } from '@nestjs/core';
import type { MessageHandler } from '@nestjs/microservices';
import { PATTERN_HANDLER_METADATA, PATTERN_METADATA } from '@nestjs/microservices/constants.js';
import { PatternHandler } from '@nestjs/microservices/enums/pattern-handler.enum.js';
import { RpcParamtype } from '@nestjs/microservices/enums/rpc-paramtype.enum.js';

/**
 * What a guard, interceptor, pipe or filter for the whole application says of itself if it does nothing to events, so that their
 * methods need not be called through it. A class that extends one says the same.
 */
export interface LeavesEventsAlone {
  readonly leavesEventsAlone: true;
}

const ENHANCERS = [EXCEPTION_FILTERS_METADATA, GUARDS_METADATA, INTERCEPTORS_METADATA, PIPES_METADATA];

/**
 * By event type, the methods that are given their event, by `@Payload()`, and nothing else, and that have no enhancer, be it of their
 * own, of their class or of the application: for these, Nest's pipeline would only call them. What is not certain is left out.
 */
export function plainMethods(container: NestContainer): Map<string, MessageHandler> {
  const found = new Map<string, MessageHandler>();
  if (isEnhanced(container.applicationConfig)) return found;
  const scanner = new MetadataScanner();
  for (const { controllers } of container.getModules().values()) {
    for (const wrapper of controllers.values()) {
      const { instance, metatype } = wrapper as { instance: Controller | undefined; metatype: unknown };
      if (!instance || instance.constructor !== metatype || !wrapper.isDependencyTreeStatic()) continue;
      const prototype = Object.getPrototypeOf(instance) as Controller;
      for (const name of scanner.getAllMethodNames(prototype)) {
        const method = prototype[name]!;
        if (instance[name] !== method || !isPlain(instance.constructor, name, method)) continue;
        const call: MessageHandler = (event: object) => method.call(instance, event);
        for (const type of typesOf(method)) found.set(type, call);
      }
    }
  }
  return found;
}

type Method = (event: object) => Promise<unknown>;
type Controller = Record<string, Method>;

function isEnhanced(config: ApplicationConfig | undefined): boolean {
  if (!config) return true;
  const ofRequests = [
    ...config.getGlobalRequestGuards(),
    ...config.getGlobalRequestInterceptors(),
    ...config.getGlobalRequestPipes(),
    ...config.getGlobalRequestFilters(),
    ...config.getGlobalPreRequestHooks(),
  ];
  const enhancers: object[] = [
    ...config.getGlobalGuards(),
    ...config.getGlobalInterceptors(),
    ...config.getGlobalPipes(),
    ...config.getGlobalFilters(),
  ];
  const leavesAlone = (one: Partial<LeavesEventsAlone>) => one.leavesEventsAlone === true;
  return ofRequests.length > 0 || !enhancers.every(leavesAlone);
}

/** The types of events that it is decorated with, as a method for events. */
function typesOf(method: Method): string[] {
  const isForEvents = Reflect.getMetadata(PATTERN_HANDLER_METADATA, method) === PatternHandler.EVENT;
  const patterns = isForEvents ? (Reflect.getMetadata(PATTERN_METADATA, method) as unknown[]) : [];
  return patterns.filter((pattern) => typeof pattern === 'string');
}

function isPlain(controller: object, name: string, method: Method): boolean {
  if (ENHANCERS.some((key) => Reflect.hasMetadata(key, controller) || Reflect.hasMetadata(key, method))) return false;
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, name) ?? {}) as Record<string, Parameter>;
  const [[key, parameter] = ['', undefined], ...others] = Object.entries(parameters);
  if (!parameter || others.length > 0 || key !== `${RpcParamtype.PAYLOAD}:0`) return false;
  return parameter.data === undefined && parameter.schema === undefined && parameter.pipes.length === 0;
}

/** What a decorator of a parameter asks for. */
interface Parameter {
  data?: unknown;
  schema?: unknown;
  pipes: unknown[];
}
