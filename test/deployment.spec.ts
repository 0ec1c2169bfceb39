import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { describeVariables, loadConfig, serviceMigrations, type Variable } from '@app/service';
import { parse } from 'yaml';
import { ordersVariables } from '../apps/orders/src/config.js';

import { services as programs } from '../tools/start/services.mjs';

// Containers cannot be started where these tests run. What can be wrong without starting them is checked here.

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

interface ComposeService {
  image?: string;
  build?: { context: string; target: string };
  environment: Record<string, string | null>;
  ports: string[];
  volumes?: string[];
  healthcheck?: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
  init: boolean;
  restart: string;
}
interface Compose {
  services: Record<string, ComposeService>;
  volumes: Record<string, null>;
}

/** What is built from apps/; the sandbox is a program that needs no build. */
const services = programs.filter(({ entry }) => !entry);
const sandbox = programs.find(({ entry }) => entry)!;

/** What a service is made of when its variables are read. */
const defaultsOf = ({ name, port }: { name: string; port: number }) => ({
  port,
  variables: { orders: ordersVariables }[name],
});

const compose = parse(read('docker-compose.yml'), { merge: true }) as Compose;
const composeService = (name: string) => compose.services[name] as ComposeService;

/** What Compose makes of a value if `.env` does not exist. */
const withDefaults = (text: string): string => text.replaceAll(/\$\{(\w+):-([^}]*)\}/g, '$2');

/** The variables of `.env.example` with the comment above each. */
const examples = new Map(
  [...read('.env.example').matchAll(/((?:^# .+\n)+)# ([A-Z][A-Z_]+)=(.+)$/gm)].map(([, comment, name, value]) => [
    name ?? '',
    { comment: (comment ?? '').replaceAll(/^# /gm, '').trim(), value },
  ]),
);

/** The instructions of one stage of the Dockerfile, such as `['EXPOSE', '3000']`, and of the stages below it. */
function stage(name: string): [instruction: string, rest: string][] {
  const text = read('Dockerfile').replaceAll(/\\\n\s*/g, '');
  const stages = text.split(/^(?=FROM )/m).filter((part) => part.startsWith('FROM '));
  const found = stages.find((part) => new RegExp(`^FROM \\S+ AS ${name}\\n`).test(part));
  if (found === undefined) throw new Error(`the Dockerfile has no stage ${name}`);
  const [from = '', ...lines] = found.split('\n').filter((line) => /^[A-Z]+ /.test(line));
  const base = from.split(' ')[1] ?? '';
  const own = lines.map((line): [string, string] => [line.split(' ', 1)[0] ?? '', line.replace(/^\S+ /, '')]);
  return base.includes(':') ? [['FROM', base], ...own] : [...stage(base), ...own];
}

const last = (name: string, instruction: string): string =>
  stage(name).findLast(([given]) => given === instruction)?.[1] ?? '';

it('has a container for every service, and nothing that no longer exists', () => {
  const apps = readdirSync(path.join(root, 'apps'));
  expect(services.map(({ name }) => name).sort()).toEqual(apps.sort());
  expect(Object.keys(compose.services).sort()).toEqual([...apps, sandbox.name, 'postgres', 'rabbitmq'].sort());
});

describe.each(services)('the container of $name', ({ name, prefix, port, database }) => {
  const service = composeService(name);
  const environment = Object.fromEntries(
    Object.entries(service.environment).map(([key, value]) => [key, value === null ? undefined : withDefaults(value)]),
  );

  it('listens on the port that the service has everywhere else', () => {
    expect(read(`apps/${name}/src/main.ts`)).toContain(`service: '${name}',\n  port: ${port},`);
    expect(stage(name)).toContainEqual(['ENV', `${prefix}_PORT=${port}`]);
    expect(last(name, 'EXPOSE')).toBe(String(port));
    expect(service.ports).toEqual([`127.0.0.1:\${${prefix}_PORT:-${port}}:${port}`]);
    expect(last(name, 'HEALTHCHECK')).toContain(`127.0.0.1:\${process.env.${prefix}_PORT}/health/ready`);
    expect(stage(name)).toContainEqual(['ENV', 'NODE_ENV=production HOST=0.0.0.0']);
  });

  it('starts with a configuration that the service accepts, in a database of its own', () => {
    const config = loadConfig(name, defaultsOf({ name, port }), environment);
    const { username, hostname, pathname } = new URL(config.databaseUrl);
    expect([username, hostname, pathname]).toEqual([database, 'postgres', `/${database}`]);
    expect(config.rabbitmqUrls.map((url) => new URL(url).host)).toEqual(['rabbitmq:5672']);
    expect(read('deploy/postgres/create-databases.sql')).toContain(`create database ${database} owner ${database};`);
  });

  it('can be given every variable that makes sense in a container', () => {
    const described = describeVariables(name, defaultsOf({ name, port })).map((variable) => variable.name);
    const fixed = [`${prefix}_PORT`, 'HOST', 'ROLES'];
    expect(Object.keys(environment).sort()).toEqual(described.filter((variable) => !fixed.includes(variable)).sort());
  });

  it('runs what the build produces, as an ordinary user', () => {
    const command = JSON.parse(last(name, 'CMD')) as string[];
    expect(command).toEqual(['node', '--enable-source-maps', `dist/apps/${name}/apps/${name}/src/main.js`]);
    const { projects } = JSON.parse(read('nest-cli.json')) as { projects: Record<string, { sourceRoot: string }> };
    expect(projects[name]?.sourceRoot).toBe(`apps/${name}/src`);
    expect(read('package.json')).toContain(`nest build ${name}`);
    expect(last(name, 'USER')).toBe('node');
    expect(service.build).toEqual({ context: '.', target: name });
  });

  it('holds its migrations and those of the libraries', () => {
    const copied = stage(name)
      .filter(([instruction]) => instruction === 'COPY')
      .map(([, files]) => files);
    for (const { folder } of serviceMigrations(name)) {
      const relative = path.relative(root, folder);
      expect(copied).toContain(`${relative} ${relative}`);
    }
  });
});

describe('the container of the sandbox', () => {
  const { name, prefix, port, entry } = sandbox;
  const { environment, ports, build } = composeService(name);

  it('runs the program that npm start runs, as an ordinary user, on the same port', () => {
    expect(JSON.parse(last(name, 'CMD'))).toEqual(['node', entry]);
    expect(stage(name)).toContainEqual(['ENV', `${prefix}_PORT=${port}`]);
    expect(last(name, 'EXPOSE')).toBe(String(port));
    expect(last(name, 'HEALTHCHECK')).toContain(`127.0.0.1:\${process.env.${prefix}_PORT}/health/ready`);
    expect(last(name, 'USER')).toBe('node');
    expect(ports).toEqual([`127.0.0.1:\${${prefix}_PORT:-${port}}:${port}`]);
    expect(build).toEqual({ context: '.', target: name });
  });

  it('and orders find each other, and have one secret', () => {
    const orders = composeService('orders').environment;
    expect(orders.PAYMENT_PROVIDER_URL).toBe(`http://${name}:${port}`);
    expect(environment).toEqual({
      PAYMENT_WEBHOOK_SECRET: orders.PAYMENT_WEBHOOK_SECRET,
      PAYMENT_WEBHOOK_URL: `http://orders:${programs.find((program) => program.name === 'orders')!.port}/webhooks/payments`,
    });
  });
});

describe('the image', () => {
  const instructions = ['build', 'dependencies', ...programs.map(({ name }) => name)].flatMap(stage);

  it('is made of files that exist and that .dockerignore lets in', () => {
    const rules = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(rules[0]).toBe('*');
    for (const [instruction, rest] of instructions) {
      if (instruction !== 'COPY' || rest.startsWith('--from')) continue;
      for (const source of rest.split(' ').slice(0, -1)) {
        expect([source, existsSync(path.join(root, source))]).toEqual([source, true]);
        expect([`!${source}`, `!${source.split('/')[0] ?? ''}`].some((rule) => rules.includes(rule))).toBe(true);
      }
    }
  });

  it('is based on the version of Node that developers use', () => {
    const bases = instructions.filter(([instruction]) => instruction === 'FROM').map(([, image]) => image);
    expect(new Set(bases)).toEqual(new Set([`node:${read('.nvmrc').trim()}-slim`]));
  });

  it('gets its packages from the lock file, for production without tools', () => {
    const installs = (name: string) =>
      stage(name)
        .filter(([, rest]) => rest.includes('npm '))
        .map(([, rest]) => rest);
    expect(installs('build').at(0)).toContain('npm ci');
    expect(installs('dependencies')).toEqual([expect.stringContaining('npm ci --omit=dev')]);
  });
});

describe('docker-compose.yml', () => {
  it('passes its linter without a warning', () => {
    const dclint = path.join(root, 'node_modules/dclint/bin/dclint.cjs');
    execFileSync(process.execPath, [dclint, 'docker-compose.yml', '--max-warnings', '0'], { cwd: root });
  });

  it.each(Object.entries(compose.services))(
    '%s is pinned, checked, restarted and reachable from this machine only',
    (name, service) => {
      if (service.build === undefined) {
        expect(service.image).toMatch(/^[a-z]+:\d/);
        expect(service.healthcheck?.test[0]).toBe('CMD');
      } else {
        expect(last(name, 'HEALTHCHECK')).not.toBe('');
      }
      for (const port of service.ports) expect(port).toMatch(/^127\.0\.0\.1:/);
      expect([service.init, service.restart]).toEqual([true, 'unless-stopped']);
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect([condition, composeService(other).healthcheck !== undefined]).toEqual(['service_healthy', true]);
      }
      for (const volume of service.volumes ?? []) {
        const source = volume.split(':')[0] ?? '';
        expect(source.startsWith('./') ? existsSync(path.join(root, source)) : source in compose.volumes).toBe(true);
      }
    },
  );

  it('uses only variables that .env.example explains, with the same defaults', () => {
    const used = [...read('docker-compose.yml').matchAll(/\$\{(\w+)(?::-([^}]*))?\}/g)];
    expect(used.length).toBeGreaterThan(0);
    for (const [, name = '', value] of used) expect([name, examples.get(name)?.value]).toEqual([name, value]);
  });
});

describe('.env.example', () => {
  const described = services.flatMap((service) => describeVariables(service.name, defaultsOf(service)));
  const variables = new Map<string, Variable>(described.map((variable) => [variable.name, variable]));

  it('explains every variable of the services with its default', () => {
    for (const { name, meaning, default: standard, example } of variables.values()) {
      expect([name, examples.get(name)?.value]).toEqual([name, standard ?? example]);
      expect([name, examples.get(name)?.comment.startsWith(meaning)]).toEqual([name, true]);
    }
  });

  it('explains nothing else but what Compose and npm start read', () => {
    const others = [...examples.keys()].filter((name) => !variables.has(name));
    expect(others.sort()).toEqual([
      'PAYMENT_PROVIDER_PORT',
      'PAYMENT_WEBHOOK_URL',
      'POSTGRES_PASSWORD',
      'RABBITMQ_MANAGEMENT_URL',
      'RABBITMQ_PASSWORD',
    ]);
  });

  it('sets nothing when it is copied as it is', () => {
    expect(read('.env.example')).not.toMatch(/^[^#\n]/m);
  });
});
