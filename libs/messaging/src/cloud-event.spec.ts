import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { decode, encode, UnreadableMessageError, type Envelope, type LogRow } from './cloud-event.js';

const isLogged = (source: string) => source === '/users';
const message = (content: Buffer | string, properties: Parameters<typeof decode>[0]['properties'] = {}) => ({
  content: Buffer.from(content),
  properties,
});
const logged = {
  specversion: '1.0',
  id: randomUUID(),
  source: '/users',
  type: 'users.user.registered.v1',
  subject: 'u1',
  sequence: '7',
  epoch: randomUUID(),
  page: '1',
  position: '12',
  data: { name: 'Alice' },
};

/** Decodes or says why not; anything else that is thrown fails the test. */
function tryDecode(...given: Parameters<typeof message>): Envelope[] | undefined {
  try {
    return decode(message(...given), isLogged).flatMap((event) => ('reason' in event ? [] : [event]));
  } catch (error) {
    if (!(error instanceof UnreadableMessageError)) throw error;
    expect(error.message).not.toMatch(/\0/);
    return undefined;
  }
}

describe('decode', () => {
  it('never throws anything but UnreadableMessageError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void tryDecode(Buffer.from(bytes))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => void tryDecode(text)),
      { numRuns: 500 },
    );
  });

  it('never throws anything else, whatever the JSON', () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: 'binary' }), (json) => void tryDecode(json)),
      { numRuns: 500 },
    );
  });

  it('never throws anything else, whatever stands in place of an attribute', () => {
    const name = fc.constantFrom(...Object.keys(logged));
    const value = fc.oneof(fc.jsonValue({ stringUnit: 'binary' }), fc.string({ unit: 'binary', maxLength: 300 }));
    fc.assert(
      fc.property(name, value, (attribute, wrong) => {
        const events = tryDecode(JSON.stringify({ ...logged, [attribute]: wrong })) ?? [];
        // What gets through can be stored: no NUL, no half of a surrogate pair, nothing too long.
        for (const { data: _, ...attributes } of events) {
          for (const text of Object.values(attributes).filter((item) => typeof item === 'string')) {
            expect(text).not.toMatch(/\0|\p{Surrogate}/u);
            expect(text.length).toBeLessThanOrEqual(200);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('never throws anything else, whatever the properties', () => {
    const headers = fc.dictionary(
      fc.oneof(
        fc.string(),
        fc.string().map((name) => `cloudEvents_${name}`),
      ),
      fc.anything(),
    );
    const properties = fc.record(
      { contentType: fc.anything(), contentEncoding: fc.anything(), headers },
      { requiredKeys: [] },
    );
    const body = fc.constantFrom('{}', JSON.stringify(logged), '[', '"x"');
    fc.assert(
      fc.property(body, properties, (text, given) => void tryDecode(text, given)),
      { numRuns: 500 },
    );
  });

  it('gives back what encode was given', () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((s) => !s.includes('\0') && s.length <= 200);
    const count = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 1 }).filter((n) => n < 1e16);
    fc.assert(
      fc.property(text, text, count, fc.jsonValue({ maxDepth: 5 }), (subject, correlation, sequence, data) => {
        fc.pre(!/__proto__|constructor/.test(JSON.stringify(data)));
        const row: LogRow = {
          position: '12',
          id: randomUUID(),
          type: 'users.user.registered.v1',
          epoch: randomUUID(),
          subject,
          sequence: String(sequence),
          page: '3',
          time: new Date().toISOString(),
          correlation_id: correlation,
          causation_id: null,
          traceparent: null,
          data: JSON.stringify(data),
        };
        expect(decode(message(encode(row, '/users')), isLogged)).toEqual([
          {
            kind: 'logged',
            aggregate: 'users.user',
            stream: `/users ${row.epoch} users.user ${subject}`,
            specversion: '1.0',
            id: row.id,
            source: '/users',
            type: row.type,
            subject,
            sequence,
            epoch: row.epoch,
            page: 3,
            position: 12,
            time: row.time,
            correlationid: correlation,
            data: JSON.parse(row.data) as unknown,
          },
        ]);
      }),
    );
  });

  it('reads an ordinary event as its schema would, only faster', () => {
    const odd = fc.oneof(
      fc.constantFrom('', '0', '01', '1', '-1', '1.5', '1e3', '9007199254740993', 'ab\u0000', '\ud800', 'é', ' '),
      fc.constantFrom(0, 1, 7, 1.5, -1, null, true, [], {}),
      fc.constantFrom('x'.repeat(200), 'x'.repeat(201), '/orders', 'users.user.registered', 'users.user.gone.v3'),
      fc.uuid({ version: 7 }),
      fc.uuid().map((id) => id.toUpperCase()),
      fc.constantFrom('00000000-0000-0000-0000-000000000000', '0199d2c4-7b1e-9c3a-9f60-2b8f1f4f2a11'),
    );
    const names = Object.keys({ ...logged, time: '', correlationid: '', causationid: '', traceparent: '', extra: '' });
    const changes = fc.dictionary(fc.constantFrom(...names), odd, { maxKeys: 2 });
    fc.assert(
      fc.property(changes, (change) => {
        const value = { ...logged, sequence: '7', page: '3', position: '12', ...change };
        const read = (event: object) => {
          try {
            return decode(message(JSON.stringify(event)), isLogged);
          } catch (error) {
            return (error as Error).message;
          }
        };
        // With this word in it, a message is looked at closely.
        expect(read(value)).toEqual(read({ ...value, constructor: 'any' }));
      }),
      { numRuns: 2_000 },
    );
  });

  it('reads a batch in its order, and says of each event that cannot be read why', () => {
    const batch = [1, 2, 3].map((sequence) => ({ ...logged, sequence }));
    const read = (events: unknown[]) => decode(message(JSON.stringify(events)), isLogged);
    expect(read(batch)).toMatchObject([{ sequence: 1 }, { sequence: 2 }, { sequence: 3 }]);
    const bad = { ...logged, id: '' };
    const [one, unreadable, two] = read([batch[0], bad, batch[1]]);
    expect([one, two]).toMatchObject([{ sequence: 1 }, { sequence: 2 }]);
    expect(unreadable).toEqual({
      reason: expect.stringMatching(/^not a CloudEvent: id: /),
      content: Buffer.from(JSON.stringify(bad)),
    });
  });

  it.each([
    `{ "id": 12345678901234567890, "a":[1 , [{}], "],[\\"\\\\"] }`,
    `"a text with \\\\\\", and \\u005b"`,
    `1.0`,
    `[ ]`,
  ])('keeps %s of a batch as it was written', (bad) => {
    const good = JSON.stringify(logged);
    const found = decode(message(`[${good} , ${bad},${good}\n,${bad} ]`), isLogged);
    expect(found.map((event) => ('reason' in event ? event.content.toString() : event.id))).toEqual([
      logged.id,
      bad,
      logged.id,
      bad,
    ]);
  });

  it.each(['cloudEvents_', 'cloudEvents:'])('reads binary mode with headers %s…', (prefix) => {
    const { data, ...attributes } = logged;
    const headers = Object.fromEntries(Object.entries(attributes).map(([name, value]) => [prefix + name, value]));
    expect(tryDecode(JSON.stringify(data), { headers })).toMatchObject([
      { kind: 'logged', id: logged.id, sequence: 7, data },
    ]);
  });

  it('takes what comes from elsewhere as foreign, whatever attributes it carries', () => {
    expect(tryDecode(JSON.stringify({ ...logged, source: '/crm' }))).toMatchObject([{ kind: 'foreign' }]);
    expect(tryDecode(JSON.stringify({ specversion: '1.0', id: '1', source: '/crm', type: 'x' }))).toMatchObject([
      { kind: 'foreign' },
    ]);
  });

  it('holds for any depth up to 32, and refuses more, wherever the brackets stand', () => {
    const shapes: [string, string][] = [
      ['[', ']'],
      ['{"a":', '}'],
      ['["]]]",', ']'],
      ['{"\\"}":[],"b":', '}'],
    ];
    for (const [open, close] of shapes) {
      const nested = (depth: number) =>
        JSON.stringify({ ...logged, data: '@' }).replace('"@"', open.repeat(depth) + '1' + close.repeat(depth));
      expect(tryDecode(nested(30))).toHaveLength(1);
      expect(tryDecode(nested(33))).toBeUndefined();
    }
  });

  it.each(['__proto__', '\\u005f_proto__', '__\\u0070roto__'])('refuses the key %s at any depth', (key) => {
    const body = JSON.stringify({ ...logged, data: { list: ['@'] } }).replace('"@"', `{"${key}":{"admin":true}}`);
    expect(tryDecode(body)).toBeUndefined();
  });
});
