import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import { Client } from 'pg';
import { startOperations, TYPE, type OperationsFixture } from './operations.fixture.js';
import { Seen, tail, type RecordedEvent, type TailOptions } from './tail.js';

let it_: OperationsFixture;
let clients: Client[];
beforeEach(async () => {
  it_ = await startOperations();
  clients = [];
});
afterEach(async () => {
  await Promise.all(clients.map((client) => client.end()));
  await it_.stop();
});

async function connect(): Promise<Client> {
  const client = new Client({ connectionString: it_.url });
  clients.push(client);
  await client.connect();
  return client;
}

const record = (client: Client, subject: string, type = TYPE, ago = '0 s') =>
  client.query(
    `insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data, recorded_at)
     select $1, $2, epoch, 'users.user', $3, 1, 1, 'c', '{}', now() - $4::interval from messaging.log`,
    [randomUUID(), type, subject, ago],
  );

/** Follows until it is stopped; it has begun when this resolves. */
async function follow(options: TailOptions = {}) {
  const stopping = new AbortController();
  const told: RecordedEvent[] = [];
  const running = (async () => {
    for await (const event of tail(it_.database, { ...options, signal: stopping.signal })) told.push(event);
  })();
  const stop = async () => {
    stopping.abort();
    await running;
  };
  const client = await connect();
  await eventually(async () => {
    await record(client, `begun ${randomUUID()}`);
    expect(told).not.toEqual([]);
  });
  const subjects = () => told.map(({ subject }) => subject).filter((subject) => !subject.startsWith('begun'));
  return { subjects, stop };
}

async function all(options: TailOptions): Promise<string[]> {
  const subjects: string[] = [];
  for await (const { subject } of tail(it_.database, { ...options, once: true })) subjects.push(subject);
  return subjects;
}

describe('tail', () => {
  it('tells what is recorded from now on, once', async () => {
    const client = await connect();
    await record(client, 'before');
    const { subjects, stop } = await follow();
    await record(client, 'one');
    await eventually(() => expect(subjects()).toEqual(['one']));
    await record(client, 'two');
    await eventually(() => expect(subjects()).toEqual(['one', 'two']));
    await stop();
  });

  it('tells an event whose transaction commits behind later ones', async () => {
    const [slow, quick] = [await connect(), await connect()];
    await slow.query('begin');
    await record(slow, 'older'); // has its position, is not visible
    await record(quick, 'before'); // and this one has a higher one
    const { subjects, stop } = await follow();
    await record(quick, 'newer');
    await eventually(() => expect(subjects()).toEqual(['newer']));
    await slow.query('commit');
    await eventually(() => expect(subjects()).toEqual(['newer', 'older']));
    await stop();
  });

  it('starts in the past if it is told to', async () => {
    const client = await connect();
    for (let hours = 30; hours > 0; hours--) await record(client, `${hours}`, TYPE, `${hours} h`);
    const since = (hours: number) => new Date(Date.now() - hours * 3_600_000);
    expect(await all({ since: since(3.5) })).toEqual(['3', '2', '1']);
    expect(await all({ since: since(100) })).toHaveLength(30);
    expect(await all({ since: since(0) })).toEqual([]);
  });

  it('filters by type and subject', async () => {
    const client = await connect();
    await record(client, 'a');
    await record(client, 'b', 'users.user.renamed.v1');
    const since = new Date(Date.now() - 60_000);
    expect(await all({ since, types: ['users.user.renamed.v1'] })).toEqual(['b']);
    expect(await all({ since, types: ['users.*'] })).toEqual(['a', 'b']);
    expect(await all({ since, types: ['orders.*'] })).toEqual([]);
    expect(await all({ since, subject: 'a' })).toEqual(['a']);
  });

  it('reads more than fits into one read', async () => {
    const client = await connect();
    await client.query(
      `insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
       select gen_random_uuid(), 't', epoch, 'a', n::text, 1, 1, 'c', '{}' from messaging.log, generate_series(1, 1200) n`,
    );
    expect(await all({ since: new Date(Date.now() - 60_000) })).toHaveLength(1200);
  });
});

describe('what was seen', () => {
  it('forgets positions as soon as nothing is missing below them', () => {
    const seen = new Seen(10);
    seen.add([12, 13]);
    expect([seen.upTo, seen.beyond]).toEqual([10, [12, 13]]);
    seen.add([11]);
    expect([seen.upTo, seen.beyond]).toEqual([13, []]);
  });

  it('gives up on a gap only when every transaction that could fill it has ended, and one read later', () => {
    const seen = new Seen(10);
    seen.add([12]);
    seen.settle(100n, 105n); // the gap is noticed
    seen.settle(100n, 110n); // whoever can fill it has begun before 110
    seen.settle(109n, 120n); // 109 still runs
    expect([seen.upTo, seen.beyond]).toEqual([10, [12]]);
    seen.add([14]);
    seen.settle(110n, 130n);
    expect([seen.upTo, seen.beyond]).toEqual([12, [14]]);
  });
});
