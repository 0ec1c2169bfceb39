import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { eventually } from './eventually.js';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

describe('startTcpProxy', () => {
  let echo: Server;
  let proxy: TcpProxy;
  const heard: string[] = [];

  beforeEach(async () => {
    heard.length = 0;
    echo = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data) => heard.push(data.toString()));
      socket.pipe(socket);
    });
    echo.listen(0, '127.0.0.1');
    await once(echo, 'listening');
    proxy = await startTcpProxy(`tcp://somebody@127.0.0.1:${(echo.address() as AddressInfo).port}/path`);
  });

  afterEach(async () => {
    await proxy.close();
    echo.close();
    await once(echo, 'close');
  });

  function open(): { socket: Socket; text: () => string; ended: Promise<string> } {
    const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1');
    let text = '';
    let error = 'end';
    socket.setEncoding('utf8').on('data', (more: string) => (text += more));
    socket.on('error', (given: NodeJS.ErrnoException) => (error = given.code ?? ''));
    const ended = new Promise<string>((resolve) => socket.once('close', () => resolve(error)));
    return { socket, text: () => text, ended };
  }

  it('passes everything on, in order, and the end', async () => {
    const { socket, text, ended } = open();
    const long = 'abcdefgh'.repeat(100_000);
    socket.end(long);
    expect(await ended).toBe('end');
    expect(text() === long).toBe(true);
    expect(proxy.url).toMatch(/^tcp:\/\/somebody@127\.0\.0\.1:\d+\/path$/);
    await eventually(() => expect(proxy.connections).toBe(0));
    expect(proxy.accepted).toBe(1);
  });

  it('swallows one direction, and delivers what was held back when it heals', async () => {
    const { socket, text } = open();
    proxy.blackHole('toClient');
    socket.write('one');
    await eventually(() => expect(heard).toEqual(['one']));
    proxy.blackHole('toServer');
    socket.write('two');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard).toEqual(['one']);
    expect(text()).toBe('');
    proxy.pass();
    await eventually(() => expect(text()).toBe('onetwo'));
    socket.destroy();
  });

  it('does not tell of the end through a black hole', async () => {
    const { socket, ended } = open();
    socket.write('hello');
    await eventually(() => expect(heard).toEqual(['hello']));
    proxy.blackHole();
    let isOver = false;
    void ended.then(() => (isOver = true));
    socket.end();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isOver).toBe(false);
    proxy.pass();
    expect(await ended).toBe('end');
  });

  it('resets connections; refuses new ones until it heals', async () => {
    const first = open();
    first.socket.write('x');
    await eventually(() => expect(first.text()).toBe('x'));
    proxy.refuse();
    expect(await first.ended).toBe('ECONNRESET');
    const second = open();
    expect(await second.ended).toBe('ECONNRESET');
    proxy.pass();
    const third = open();
    third.socket.end('y');
    expect(await third.ended).toBe('end');
    expect(third.text()).toBe('y');
  });

  it('leaves no connection open that is reset while its end is on its way', async () => {
    const connections = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
    const before = connections(); // of others in this process
    const { socket, ended } = open();
    socket.write('hello');
    await eventually(() => expect(heard).toEqual(['hello']));
    proxy.blackHole();
    socket.end();
    await new Promise((resolve) => setTimeout(resolve, 50));
    proxy.pass();
    await new Promise((resolve) => process.nextTick(resolve)); // what it passes on now is handed to the system in this turn
    proxy.reset();
    await ended;
    await eventually(() => expect(connections()).toBeLessThanOrEqual(before));
  });

  it('is slow', async () => {
    proxy.delay(60);
    const { socket, text } = open();
    const started = performance.now();
    socket.write('x');
    await eventually(() => expect(text()).toBe('x'), { intervalMs: 2 });
    expect(performance.now() - started).toBeGreaterThan(115);
    socket.destroy();
  });

  it('cuts after so many bytes, all of which arrive', async () => {
    const { socket, ended } = open();
    proxy.cutAfter(5, 'toServer');
    socket.write('hello world');
    expect(await ended).toBe('ECONNRESET');
    await eventually(() => expect(heard.join('')).toBe('hello'));
    const again = open();
    again.socket.end('all of it');
    expect(await again.ended).toBe('end');
  });
});
