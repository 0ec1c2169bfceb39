import {
  Catch,
  Controller,
  Scope,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
  type INestApplication,
  type PreRequestHook,
  type Provider,
  type Type,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, ModuleRef } from '@nestjs/core';
import { Ctx, EventPattern, MessagePattern, Payload, Server, type MessageHandler } from '@nestjs/microservices';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { of, type Observable } from 'rxjs';
import { z } from 'zod';
import { plainMethods } from './plain-methods.js';

const TYPE = 'users.user.registered.v1';
const event = { userId: '1' };

/** What happened, in its order. */
const seen: unknown[] = [];
const see = <T>(what: unknown, result: T): T => (seen.push(what), result);

class Guard {
  canActivate = () => see('guard', true);
}
class Interceptor {
  intercept = (_: unknown, next: { handle(): Observable<unknown> }) => see('interceptor', next.handle());
}
class Pipe {
  transform = (value: unknown) => see('pipe', value);
}
@Catch()
class Filter {
  catch = () => see('filter', of(undefined));
}

@Controller()
class Subscriptions {
  readonly name = 'subscriptions';
  @EventPattern(TYPE) hear(@Payload() heard: unknown) {
    return see([this.name, heard], Promise.resolve('heard'));
  }
}

interface Options {
  providers?: Provider[];
  set?: (app: INestApplication) => unknown;
  hook?: PreRequestHook;
}

/** Nest's own handler and, if there is one, the method itself. */
async function handlersOf(controller: Type, { providers = [], set, hook }: Options = {}) {
  class Transport extends Server {
    listen = (callback: () => void) => callback();
    close = () => {};
    on = () => {};
    unwrap = <T>() => undefined as T;
  }
  const module = await Test.createTestingModule({ controllers: [controller], providers }).compile();
  const app = module.createNestApplication(new FastifyAdapter(), { logger: false });
  set?.(app);
  const strategy = new Transport();
  const microservice = app.connectMicroservice({ strategy }, { inheritAppConfig: true });
  if (hook) microservice.registerPreRequestHook(hook);
  await app.startAllMicroservices();
  const plain = plainMethods(app.get(ModuleRef)['container']);
  await app.close();
  return { nests: strategy.getHandlerByPattern(TYPE), plain };
}

/** Of a handler, including what an Observable of it does. */
async function call(handler: MessageHandler | null | undefined): Promise<void> {
  const result: unknown = await handler!(event).catch(() => {});
  await new Promise<void>((resolve) =>
    result && typeof result === 'object' && 'subscribe' in result
      ? (result as Observable<unknown>).subscribe({ complete: resolve, error: () => resolve() })
      : resolve(),
  );
}

beforeEach(() => (seen.length = 0));

describe('A method that is given its event, and that nothing is around', () => {
  class Inherited extends Subscriptions {}
  Controller()(Inherited);

  it.each<[string, Type]>([
    ['with @Payload()', Subscriptions],
    ['of a base class', Inherited],
  ])('is called directly as Nest would call it: %s', async (_, controller) => {
    const { nests, plain } = await handlersOf(controller);
    await expect(plain.get(TYPE)!(event)).resolves.toBe('heard');
    const directly = seen.splice(0);
    await call(nests);
    expect(directly).toEqual([['subscriptions', event]]);
    expect(directly).toEqual(seen);
  });

  it('is called directly although the application has enhancers, if these leave events alone', async () => {
    const quiet = <T extends object>(enhancer: T) => Object.assign(enhancer, { leavesEventsAlone: true });
    const { plain } = await handlersOf(Subscriptions, {
      providers: [{ provide: APP_GUARD, useValue: quiet(new Guard()) }],
      set: (app) =>
        app
          .useGlobalPipes(quiet(new Pipe()))
          .useGlobalFilters(quiet(new Filter()))
          .useGlobalInterceptors(quiet(new Interceptor())),
    });
    expect([...plain.keys()]).toEqual([TYPE]);
  });
});

describe('Nest’s pipeline is kept where there is something in it:', () => {
  @Controller()
  class Failing {
    @EventPattern(TYPE) hear(@Payload() _: unknown) {
      return Promise.reject(new Error('no'));
    }
  }
  const around = (...decorators: ClassDecorator[]) => {
    class Around extends Subscriptions {}
    for (const decorate of [Controller(), ...decorators]) decorate(Around);
    return Around;
  };
  @Controller()
  class Methods {
    @EventPattern(TYPE) @UseGuards(Guard) @UseInterceptors(Interceptor) @UsePipes(Pipe) hear(@Payload() _: unknown) {}
  }
  @Controller()
  class Filtered {
    @EventPattern(TYPE) @UseFilters(Filter) hear(@Payload() _: unknown) {
      return Promise.reject(new Error('no'));
    }
  }
  @Controller()
  class ParameterPipe {
    @EventPattern(TYPE) hear(@Payload(Pipe) _: unknown) {}
  }
  class Global extends Subscriptions {}
  Controller()(Global);

  it.each<[string, Type, string[], Options]>([
    ['a guard of the class', around(UseGuards(Guard)), ['guard'], {}],
    ['an interceptor of the class', around(UseInterceptors(Interceptor)), ['interceptor'], {}],
    ['a pipe of the class', around(UsePipes(Pipe)), ['pipe'], {}],
    ['all of them at the method', Methods, ['guard', 'interceptor', 'pipe'], {}],
    ['a filter of the method', Filtered, ['filter'], {}],
    ['a pipe of the parameter', ParameterPipe, ['pipe'], {}],
    ['a global guard', Global, ['guard'], { set: (app) => app.useGlobalGuards(new Guard()) }],
    ['a global interceptor', Global, ['interceptor'], { set: (app) => app.useGlobalInterceptors(new Interceptor()) }],
    ['a global pipe', Global, ['pipe'], { set: (app) => app.useGlobalPipes(new Pipe()) }],
    ['a global filter', Failing, ['filter'], { set: (app) => app.useGlobalFilters(new Filter()) }],
    ['APP_GUARD', Global, ['guard'], { providers: [{ provide: APP_GUARD, useClass: Guard }] }],
    ['APP_INTERCEPTOR', Global, ['interceptor'], { providers: [{ provide: APP_INTERCEPTOR, useClass: Interceptor }] }],
    ['APP_PIPE', Global, ['pipe'], { providers: [{ provide: APP_PIPE, useClass: Pipe }] }],
    ['APP_FILTER', Failing, ['filter'], { providers: [{ provide: APP_FILTER, useClass: Filter }] }],
    [
      'APP_GUARD of a request',
      Global,
      ['guard'],
      { providers: [{ provide: APP_GUARD, useClass: Guard, scope: Scope.REQUEST }] },
    ],
  ])('%s', async (_, controller, enhancers, options) => {
    const { nests, plain } = await handlersOf(controller, options);
    await call(nests);
    expect(seen).toEqual(expect.arrayContaining(enhancers)); // Nest does call it, so leaving it out would be wrong
    expect([...plain.keys()]).toEqual([]);
  });

  @Controller()
  class Field {
    @EventPattern(TYPE) hear(@Payload('userId') _: string) {}
  }
  @Controller()
  class Context {
    @EventPattern(TYPE) hear(@Ctx() _: unknown) {}
  }
  @Controller()
  class Undecorated {
    @EventPattern(TYPE) hear(_: unknown) {}
  }
  @Controller()
  class Both {
    @EventPattern(TYPE) hear(@Payload() _: unknown, @Ctx() __: unknown) {}
  }
  @Controller()
  class Schema {
    @EventPattern(TYPE) hear(@Payload({ schema: z.object({}) }) _: unknown) {}
  }
  @Controller({ scope: Scope.REQUEST })
  class OfRequests {
    @EventPattern(TYPE) hear(@Payload() _: unknown) {}
  }
  @Controller()
  class Question {
    @MessagePattern(TYPE) hear(@Payload() _: unknown) {}
  }

  it.each<[string, Type]>([
    ['a field of the event', Field],
    ['the context', Context],
    ['the context as well', Both],
    ['nothing that says what it is given', Undecorated],
    ['a schema', Schema],
    ['a controller for each event', OfRequests],
    ['a method that answers', Question],
  ])('%s', async (_, controller) => {
    const { plain } = await handlersOf(controller);
    expect([...plain.keys()]).toEqual([]);
  });

  it('a hook in front of everything', async () => {
    const { plain } = await handlersOf(Subscriptions, { hook: (_, next) => next() });
    expect([...plain.keys()]).toEqual([]);
  });
});
