import { startProcess } from './test-process.js';
import { freePort } from './free-port.js';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { eventually } from './eventually.js';
import { projectDir } from './environment.js';

const server = (port: number) =>
  `console.log('listening soon'); setTimeout(() => require('node:http').createServer((_, r) => r.end('ok')).listen(${port}, '127.0.0.1'), 100)`;

describe('startProcess', () => {
  it('waits until the address answers, and collects the output', async () => {
    const port = await freePort();
    const running = await startProcess(process.execPath, ['-e', server(port)], {
      readyUrl: `http://127.0.0.1:${port}`,
    });
    expect(running.output()).toContain('listening soon');
    expect(await running.stop()).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('fails with the output of a program that ends instead', async () => {
    const program = ['-e', `console.error('no such database'); process.exit(3)`];
    const readyUrl = `http://127.0.0.1:${await freePort()}`;
    await expect(startProcess(process.execPath, program, { readyUrl })).rejects.toThrow(
      /ended \(3\)[^]*no such database/,
    );
  });

  it('leaves nothing behind when the tests are killed', async () => {
    const signals = path.join(projectDir, 'tools/infrastructure/processes.mjs');
    const script = `
      const { startProcess } = await import(${JSON.stringify(signals)});
      const { pid } = await startProcess(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      console.log(pid);
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50);`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    await eventually(() => expect(() => process.kill(Number(stdout), 0)).toThrow('ESRCH'));
  });
});
