import { Controller, Get, Module, Put } from '@nestjs/common';
import { loadConfig } from './config.js';
import { etagOf, IfMatch, parseIfMatch, requireMatch, type Precondition } from './etag.js';
import { createHttpApp } from './http-app.js';
import type { ProblemDetails } from './problem.js';

const check = (header: string | undefined, version: number) => () => requireMatch(parseIfMatch(header), version);

describe('If-Match', () => {
  it.each([undefined, '*', '"7"', '"6", "7"', ' "6","7" ', ',"7",', 'W/"7", "7"', '"", "7"', '"a,b" , "7"'])(
    '%s matches version 7',
    (header) => expect(check(header, 7)).not.toThrow(),
  );

  it.each(['"6"', 'W/"7"', '"07"', '"7_"', '""', '"6", W/"7", "8"'])('%s does not match version 7', (header) =>
    expect(check(header, 7)).toThrow(expect.objectContaining({ status: 412, headers: { etag: '"7"' } })),
  );

  it.each(['', '7', "'7'", '"7', '"7" "8"', '*, "7"', 'w/"7"', 'W/ "7"', '"7\u0000"', '"a b"', ','])(
    '%j is malformed',
    (header) => expect(check(header, 7)).toThrow(expect.objectContaining({ status: 400 })),
  );

  it('is read in a time that does not explode', () => {
    const started = performance.now();
    expect(check(`${'"7" , , '.repeat(2_000)}x`, 7)).toThrow();
    expect(check(', '.repeat(8_000), 7)).toThrow();
    expect(performance.now() - started).toBeLessThan(200);
  });
});

describe('@IfMatch()', () => {
  @Controller('things')
  class ThingsController {
    @Put()
    put(@IfMatch() ifMatch: Precondition) {
      requireMatch(ifMatch, 7);
      return { etag: etagOf(8) };
    }
    @Get()
    get() {
      return {};
    }
  }
  @Module({ controllers: [ThingsController] })
  class ThingsModule {}

  it('hands the header to the controller, and to the documentation', async () => {
    const env = { THINGS_DATABASE_URL: 'postgres://localhost/things', LOG_LEVEL: 'silent' };
    const app = await createHttpApp(ThingsModule, loadConfig('things', { port: 0 }, env), { title: 'Things' });
    await app.init();
    const put = async (headers: Record<string, string>) => {
      const response = await app.inject({ method: 'PUT', url: '/things', headers });
      return { status: response.statusCode, headers: response.headers, body: response.json<ProblemDetails>() };
    };
    expect(await put({})).toMatchObject({ status: 200, body: { etag: '"8"' } });
    expect(await put({ 'if-match': '"7"' })).toMatchObject({ status: 200 });
    expect(await put({ 'if-match': '"6"' })).toMatchObject({ status: 412, headers: { etag: '"7"' } });
    expect(await put({ 'if-match': '7' })).toMatchObject({
      status: 400,
      body: { errors: [{ detail: expect.any(String), header: 'If-Match' }] },
    });
    const { paths } = (await app.inject('/openapi.json')).json<{ paths: Record<string, Record<string, unknown>> }>();
    expect(paths['/things']?.put).toMatchObject({
      parameters: [{ name: 'If-Match', in: 'header', required: false, schema: { type: 'string' } }],
    });
    expect(paths['/things']?.get).toMatchObject({ parameters: [] });
    await app.close();
  });
});
