import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { requireFree } from '../../../tools/infrastructure/ports.mjs';
import { readJson } from '../../../tools/infrastructure/outside.mjs';
import { endRemembered, runBehind } from '../../../tools/infrastructure/processes.mjs';
import { commandLineOf, isAlive } from '../../../tools/infrastructure/signals.mjs';
import { byValue } from '../../../tools/start/given.mjs';
import { services } from '../../../tools/start/services.mjs';
import { projectDir } from './environment.js';
import { eventually } from './eventually.js';
import { freePort } from './free-port.js';

function npmStart(args: string[], given: Record<string, string> = {}) {
  const script = path.join(projectDir, 'tools/start.mjs');
  // set, if to nothing, so that a developer's .env does not matter
  const none = { RABBITMQ_URL: '', USERS_DATABASE_URL: '', ORDERS_DATABASE_URL: '', USERS_PORT: '', ORDERS_PORT: '' };
  const env = { ...process.env, ...none, WITH: '', ...given };
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', cwd: tmpdir(), env });
}

describe('npm start', () => {
  it('explains a port option for every service', () => {
    const { status, stdout } = npmStart(['--help']);
    expect(status).toBe(0);
    for (const { name, port } of services) {
      expect(stdout).toMatch(new RegExp(`--${name}-port <port> .*\\(${port}\\)`));
    }
  });

  it.each([
    ['an unknown option', ['--nonsense'], /^✗ Unknown option '--nonsense'\.\n {2}The options: npm start -- --help\n$/],
    ['what is no port', ['--users-port', 'x'], /^✗ --users-port must be a port, .* not "x"\.\n$/],
    ['one port for two', ['--users-port', '3001'], /^✗ users and orders cannot both have port 3001\.\n$/],
    [
      'missing addresses',
      ['--no-infra'],
      /^✗ --no-infra needs RABBITMQ_URL, USERS_DATABASE_URL, ORDERS_DATABASE_URL\.\n/,
    ],
  ])('refuses %s with one message', (_what, args, message) => {
    const { status, stderr } = npmStart(args);
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });

  it('starts the examples that are asked for, and says so if there is no such example', () => {
    expect(npmStart(['--help'], { WITH: 'shipping' }).stdout).toMatch(/--shipping-port <port> .*\(3003\)/);
    const { status, stderr } = npmStart([], { WITH: 'shipping, nonsense' });
    expect(stderr).toBe('✗ WITH names "nonsense", and there is no such example.\n  There is: shipping\n');
    expect(status).toBe(1);
  });
});

describe('a secret in a file', () => {
  const name = 'FRONT_DOOR_SECRET';
  afterEach(() => {
    delete process.env[name];
    delete process.env[`${name}_FILE`];
  });

  it('reaches the services by value, and not a second time', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'secret-'));
    const file = path.join(dir, 'secret');
    writeFileSync(file, 'mellon\n');
    expect(byValue([name])).toEqual({});
    process.env[`${name}_FILE`] = file;
    expect(byValue([name])).toEqual({ [name]: 'mellon', [`${name}_FILE`]: '' });
    process.env[name] = 'set twice'; // the service says so
    expect(byValue([name])).toEqual({});
    rmSync(dir, { recursive: true });
  });

  it('that cannot be read stops the start', () => {
    process.env[`${name}_FILE`] = '/nowhere/secret';
    expect(() => byValue([name])).toThrow(`${name}_FILE names a file that cannot be read: /nowhere/secret`);
  });
});

describe('a file that a start keeps', () => {
  it('is not there if it was cut off', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'json-'));
    const file = path.join(dir, 'file.json');
    expect(readJson(file)).toBeUndefined();
    for (const [text, held] of [
      ['', undefined],
      ['{"port": 54', undefined],
      ['{"port": 5433}', { port: 5433 }],
    ] as const) {
      writeFileSync(file, text);
      expect(readJson(file)).toEqual(held);
    }
    expect(() => void readJson(dir)).toThrow('EISDIR');
    rmSync(dir, { recursive: true });
  });

  it('that lists processes names nobody behind it if the number is our own', () => {
    const dir = mkdtempSync(path.join(tmpdir(), 'run-'));
    const file = path.join(dir, 'running.json');
    writeFileSync(file, JSON.stringify({ owner: process.pid, processes: [] }));
    expect(runBehind(file)).toBeUndefined();
    writeFileSync(file, JSON.stringify({ owner: process.ppid, processes: [] }));
    expect(runBehind(file)).toBe(process.ppid); // Jest, or npm
    rmSync(dir, { recursive: true });
  });
});

describe('what npm runs', () => {
  const shutdown = path.join(projectDir, 'tools/start/shutdown.mjs');
  const program = `
    import { stopOnSignals } from ${JSON.stringify(shutdown)};
    stopOnSignals({ code: 0, farewell: '' });
    setInterval(() => {}, 1000);
    console.log(process.pid);`;
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(path.join(tmpdir(), 'npm-'));
    writeFileSync(path.join(dir, 'program.mjs'), program);
    // on its own, a shell would make way for its last command
    const start = 'node program.mjs; exit $?';
    writeFileSync(path.join(dir, 'package.json'), JSON.stringify({ scripts: { start } }));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it.each(['SIGTERM', 'SIGKILL'] as const)('ends when npm is ended by %s', async (signal) => {
    const npm = spawn('npm', ['start', '--silent'], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(npm.stdout, 'data')) as [Buffer];
    const pid = Number(line);
    npm.kill(signal);
    await eventually(() => expect(isAlive(pid)).toBe(false));
  });
});

describe('a port that is wanted', () => {
  it('may be taken: the message names the owner and the remedy', async () => {
    const server = createServer();
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, () => resolve()));
    const words = { what: 'users', remedy: 'npm start -- --users-port <port>' };
    await expect(requireFree(port, words)).rejects.toMatchObject({
      message: expect.stringMatching(
        new RegExp(`^Port ${port}, wanted for users, is taken by .* \\(pid ${process.pid}\\)\\.$`),
      ) as string,
      remedy: expect.stringContaining('--users-port') as string,
    });
    await new Promise((resolve) => server.close(resolve));
    await expect(requireFree(port, words)).resolves.toBeUndefined();
  });
});

describe('what a run leaves behind when it and its guardian are killed', () => {
  it('is ended by the next run, and nothing else is', async () => {
    const endless = () => spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const [left, bystander] = [endless(), endless()];
    const [pid = 0, other = 0] = [left.pid, bystander.pid];
    const dir = mkdtempSync(path.join(tmpdir(), 'run-'));
    const file = path.join(dir, 'running.json');
    const processes = [
      { pid, commandLine: commandLineOf(pid), rank: 1 },
      { pid: other, commandLine: 'another program, whose number it was', rank: 2 },
    ];
    writeFileSync(file, JSON.stringify({ owner: 1, processes }));
    const said: string[] = [];
    await endRemembered(file, (line) => said.push(line));
    expect(said).toEqual([expect.stringContaining(`(pid ${pid})`)]);
    expect([isAlive(pid), isAlive(other)]).toEqual([false, true]);
    bystander.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  });
});
