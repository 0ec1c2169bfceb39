import { readdirSync } from 'node:fs';
import path from 'node:path';
import { UserRegistered } from '@app/contracts';
import { wiringProblems } from '@app/testing';
import { Controller, Module, type Type } from '@nestjs/common';
import { EventsHandler } from '@nestjs/cqrs';
import { EventPattern, Payload } from '@nestjs/microservices';

const root = path.join(import.meta.dirname, '..');
const services = ['apps', 'examples'].flatMap((folder) =>
  readdirSync(path.join(root, folder)).map((app) => [app, path.join(root, folder, app, 'src')] as const),
);

/** Everything that the files of an app export, its entry excepted. */
async function exportsOf(folder: string): Promise<Record<string, unknown>> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => /\.(controller|handler|module)\.ts$/.test(file));
  const modules = sources.map((file) => import(path.join(folder, file)) as Promise<object>);
  return Object.assign({}, ...(await Promise.all(modules))) as Record<string, unknown>;
}

describe('every service is wired from its queue to its reactions:', () => {
  it.each(services)('%s', async (app, folder) => {
    const exports = await exportsOf(folder);
    const name = `${app.replaceAll(/(?:^|-)\w/g, (start) => start.at(-1)!.toUpperCase())}Module`;
    expect(exports).toHaveProperty(name);
    expect(wiringProblems(exports[name] as Type, Object.values(exports))).toEqual([]);
  });
});

describe('the wiring test notices', () => {
  @EventsHandler(UserRegistered)
  class DoSomethingOnUserRegistered {}
  @Controller()
  class Nothing {}
  @Controller()
  class Once {
    @EventPattern<string>(UserRegistered.type) hear(@Payload() _: unknown) {}
  }
  @Controller()
  class Again {
    @EventPattern<string>(UserRegistered.type) hearAgain(@Payload() _: unknown) {}
  }
  @Controller()
  class Unheard {
    @EventPattern('users.user.vanished.v1') hear(@Payload() _: unknown) {}
  }
  const problemsOf = (controllers: Type[], providers: Type[], exports: unknown[] = []) => {
    @Module({ controllers, providers })
    class SomeModule {}
    return wiringProblems(SomeModule, exports);
  };

  it('nothing, if all is well', () => {
    const exports = [Once, DoSomethingOnUserRegistered, 'text', undefined];
    expect(problemsOf([Once], [DoSomethingOnUserRegistered], exports)).toEqual([]);
  });

  it.each<[string, () => string[], RegExp]>([
    [
      'a reaction without a pattern',
      () => problemsOf([Nothing], [DoSomethingOnUserRegistered]),
      /DoSomething.* never runs/,
    ],
    ['a pattern without a reaction', () => problemsOf([Once], []), /nothing reacts to .*users\.user\.registered\.v1/],
    ['two patterns for one event', () => problemsOf([Once, Again], [DoSomethingOnUserRegistered]), /twice/],
    ['a pattern without a contract', () => problemsOf([Unheard], []), /no contract .*users\.user\.vanished\.v1/],
    [
      'a reaction that is not provided',
      () => problemsOf([], [], [DoSomethingOnUserRegistered]),
      /not among the providers/,
    ],
    ['a controller that is not listed', () => problemsOf([], [], [Once]), /Once is not among the controllers/],
  ])('%s', (_, problems, expected) => {
    expect(problems()).toContainEqual(expect.stringMatching(expected));
  });
});
