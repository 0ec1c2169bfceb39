import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import {
  createTestVhost,
  eventually,
  reactingService,
  startTestService,
  Teller,
  TellingModule,
  type TestService,
  type TestVhost,
} from '@app/testing';
import { APP_INTERCEPTOR, ModuleRef } from '@nestjs/core';
import { Module, type ExecutionContext } from '@nestjs/common';
import type { Observable } from 'rxjs';
import { plainMethods } from './plain-methods.js';

describe('In a running service', () => {
  const reacted: string[] = [];
  const Listening = reactingService(UserRegistered, ({ name }) => Promise.resolve(reacted.push(name)));
  let vhost: TestVhost;
  const services: TestService[] = [];
  const start = async (...[module, name, options]: Parameters<typeof startTestService>) => {
    const service = await startTestService(module, name, options);
    services.push(service);
    return service;
  };
  beforeAll(async () => (vhost = await createTestVhost()));
  beforeEach(() => (reacted.length = 0));
  afterEach(() => Promise.all(services.splice(0).map((service) => service.stop())));
  afterAll(() => vhost?.drop());

  it('the methods for events are called directly: nothing of ours is around them', async () => {
    const { app } = await start(Listening, 'orders', { vhost });
    expect([...plainMethods(app.get(ModuleRef)['container']).keys()]).toEqual([UserRegistered.type]);
  });

  it('an interceptor of the application is called for every event', async () => {
    const intercepted: string[] = [];
    const interceptor = {
      intercept: (context: ExecutionContext, next: { handle(): Observable<unknown> }) => {
        if (context.getType() === 'rpc') intercepted.push(context.switchToRpc().getData<UserRegistered>().name);
        return next.handle();
      },
    };
    @Module({ imports: [Listening], providers: [{ provide: APP_INTERCEPTOR, useValue: interceptor }] })
    class InterceptedModule {}
    await start(InterceptedModule, 'orders', { vhost });
    const users = await start(TellingModule, 'users', { vhost });
    const names = ['Ann', 'Bob', 'Cem'];
    for (const name of names) await users.app.get(Teller).tell(randomUUID(), name);
    await eventually(() => Promise.resolve(expect([...reacted].sort()).toEqual(names)));
    expect([...intercepted].sort()).toEqual(names);
  });
});
