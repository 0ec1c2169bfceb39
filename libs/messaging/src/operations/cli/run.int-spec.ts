import { randomUUID } from 'node:crypto';
import { createTestVhost, eventually } from '@app/testing';
import { startOperations, type OperationsFixture } from '../operations.fixture.js';
import { COMMANDS, run, type Terminal } from './run.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

interface Answers {
  /** What the operator types, in turn; absent: nobody is there. */
  answers?: string[];
  services?: string[];
  rabbitmqUrls?: string[];
}

async function events(line: string, { answers, services = ['orders'], rabbitmqUrls = [] }: Answers = {}) {
  const said = { out: '', err: '', asked: [] as string[] };
  const terminal: Terminal = {
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    ask: answers && ((question) => (said.asked.push(question), Promise.resolve(answers.shift() ?? ''))),
    surroundings: () => ({ services: services.map((name) => ({ name, databaseUrl: it_.url })), rabbitmqUrls }),
    signal: new AbortController().signal,
  };
  const words = line.match(/"[^"]*"|\S+/g)!.map((word) => word.replaceAll('"', ''));
  return { code: await run(words, terminal), ...said };
}

const setTimer = (id: string, error: string | null = null) =>
  it_.rows(
    `insert into messaging.timers (id, due_at, type, aggregate, subject, correlation_id, data, error)
     values ($1, now() + interval '1 h', 't', 'a', 's', 'c', '{}', $2)`,
    id,
    error,
  );

/** An event that the broker would not take. @returns its position */
async function refusedEvent(): Promise<string> {
  const [row] = await it_.rows<{ position: string }>(
    `with event as (
       insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
       select gen_random_uuid(), 'orders.order.placed.v1', epoch, 'orders.order', gen_random_uuid(), 1, 1, 'c', '{}'
       from messaging.log returning position)
     insert into messaging.unpublishable (position, error) select position, 'too large' from event returning position`,
  );
  return row!.position;
}

describe('npm run events', () => {
  it('fits into 100 columns', async () => {
    const type = 'users.user.registered-with-a-long-name.v1';
    for (let i = 0; i < 3; i++)
      await it_.parked({ error: `Error: ${'long '.repeat(60)}\n at x`, type, attempts: 1000 });
    await it_.unreadable('{');
    await it_.rows(`insert into messaging.pauses (scope, reason, by) values ('relay', $1, $1)`, 'because '.repeat(30));
    await events(`pause inbox:orders --reason "${'why '.repeat(40)}"`);
    for (const command of [
      'parked list',
      'parked groups',
      'pauses',
      'audit',
      'status',
      'outbox status',
      'books',
      'timers list',
    ]) {
      const { out, code } = await events(command);
      const widest = Math.max(...out.split('\n').map((text) => text.length));
      // What people wrote themselves is not cut off where it is not in a table.
      expect([command, code, ['status', 'outbox status'].includes(command) || widest <= 100]).toEqual([
        command,
        0,
        true,
      ]);
    }
  });

  it('shows parked events for people and for programs', async () => {
    const subject = randomUUID();
    const id = await it_.parked({ subject, error: 'TypeError: \u001b[31mx\n at y' });
    const { out } = await events('parked list');
    expect(out).toMatch(/^ID +STATE +EVENT/);
    expect(out).toContain(`${id}*`);
    expect(out).not.toContain('\u001b'); // an event cannot paint the terminal
    const { out: json } = await events('parked list --json');
    expect(JSON.parse(json)).toMatchObject({ service: 'orders', events: [{ id, subject, head: true }] });
    const { out: shown } = await events(`parked show ${id}`);
    expect(shown).toContain(`users.user ${subject}, sequence 1`);
    const raw = await it_.unreadable(Buffer.from([1, 2, 255]));
    expect((await events(`parked show ${raw}`)).out).toContain('0000  01 02 ff');
  });

  it('asks back with a count before it acts on a group, and takes only yes for an answer', async () => {
    for (let i = 0; i < 3; i++) await it_.parked({ state: 'dead' });
    const refused = await events('parked retry --state dead', { answers: ['n'] });
    expect(refused).toMatchObject({
      code: 3,
      asked: ['Retry 3 events? [y/N] '],
      err: 'Nothing was changed (parked retry).\n',
    });
    const alone = await events('parked skip --all');
    expect(alone).toMatchObject({ code: 3, err: 'Skip 3 events? Nobody is there to ask: add --yes.\n' });
    expect(await it_.audit()).toEqual([]);
    const dry = await events('parked retry --state dead --dry-run');
    expect(dry).toMatchObject({ code: 0, out: '3 events due now if this were not a dry run.\n' });
    const done = await events('parked retry --state dead --as bob --reason "fixed in 1.2"', { answers: ['y'] });
    expect(done).toMatchObject({ code: 0, out: '3 events due now.\n' });
    expect(await it_.audit()).toMatchObject([{ who: 'bob', reason: 'fixed in 1.2', affected: 3 }]);
  });

  it('does not act on everything by accident', async () => {
    await it_.parked();
    expect(await events('parked retry --yes')).toMatchObject({ code: 2 });
    expect(await it_.audit()).toEqual([]);
  });

  it('says what became of a single event', async () => {
    const id = await it_.parked();
    const retrying = events(`parked retry ${id}`);
    await eventually(async () => expect(await it_.row(id)).toMatchObject({ due: true }));
    await it_.rows('delete from messaging.parked_events'); // as the workers do
    expect(await retrying).toMatchObject({ code: 0, out: `${id}: went through\n` });
    const other = await it_.parked();
    const again = events(`parked retry ${other}`);
    await eventually(async () => expect(await it_.row(other)).toMatchObject({ due: true }));
    await it_.rows(`update messaging.parked_events set due_at = now() + interval '5 s', error = 'Error: still no'`);
    expect(await again).toMatchObject({ code: 0, out: `${other}: failed again (retry): Error: still no\n` });
  });

  it('skips what it is told to, and says when something was refused', async () => {
    const subject = randomUUID();
    const id = await it_.parked({ subject });
    expect(await events(`parked skip ${id} --yes`)).toMatchObject({ code: 0, out: `${id}: skipped\n` });
    await it_.parked({ subject, sequence: 5 });
    expect(await events('parked skip --all --yes')).toMatchObject({
      code: 4,
      out: expect.stringContaining('2 to 4 have not') as string,
    });
    const unsure = `parked skip --missing users users.user ${subject} 2 --yes`;
    expect(await events(unsure)).toMatchObject({ code: 1, err: expect.stringContaining('It may still come') });
    const missing = `${unsure} --page 0`;
    expect(await events(missing)).toMatchObject({ code: 0, out: 'Sequence 2: skipped\n' });
    expect(await events(missing)).toMatchObject({ code: 1, err: 'The next one of that stream is 3, not 2.\n' });
    expect(await it_.gateOf(subject)).toBe(2);
  });

  it('says what became of each although some are refused', async () => {
    const [done, other] = [await it_.unreadable('{'), await it_.unreadable('[')];
    const discarded = await events(`parked discard ${done} 999 ${other} --yes --json`);
    expect(discarded.code).toBe(4);
    expect(JSON.parse(discarded.out)).toMatchObject({
      affected: 2,
      results: [
        { id: done, result: 'removed' },
        { id: other, result: 'removed' },
      ],
      refused: [{ id: '999', reason: expect.stringContaining('999') as string }],
    });
    const skipped = await it_.parked();
    expect(await events(`parked skip ${skipped} 999 --yes`)).toMatchObject({
      code: 4,
      out: expect.stringMatching(new RegExp(`^${skipped}: skipped\n999: .*999`)) as string,
    });
    expect(await events(`parked retry 998 999`)).toMatchObject({
      code: 4,
      out: expect.stringMatching(/^998: .*\n999: /) as string,
    });
    expect(await it_.audit()).toHaveLength(3);
  });

  it('reports what it has done before the database went away', async () => {
    const [done, next, last] = [await it_.unreadable('{'), await it_.unreadable('['), await it_.unreadable('"')];
    await it_.rows(`create function fail() returns trigger language plpgsql as $$ begin raise 'gone'; end $$`);
    await it_.rows(
      `create trigger fail before delete on messaging.parked_events for each row when (old.id = ${next}) execute function fail()`,
    );
    expect(await events(`parked discard ${done} ${next} ${last} --yes`)).toMatchObject({
      code: 4,
      out: `${done}: removed\n${next}: gone\n${last}: not tried\n`,
    });
    expect(await events(`parked discard ${next} ${last} --yes`)).toMatchObject({ code: 1, out: '' });
    expect(await it_.row(last)).toBeDefined();
  });

  it('cancels timers, and says which there were not', async () => {
    const [timer, absent] = [randomUUID(), randomUUID()];
    await setTimer(timer);
    expect(await events(`timers cancel ${timer} ${absent} x --yes`)).toMatchObject({
      code: 4,
      out: `${timer}: cancelled\n${absent}: There is no timer ${absent} (any more).\nx: "x" is not the id of a timer.\n`,
    });
    expect(await it_.audit()).toMatchObject([{ action: 'timers.cancel', affected: 1, parameters: { id: timer } }]);
  });

  it('asks before it tries all timers again, or releases all events', async () => {
    for (let i = 0; i < 2; i++) await setTimer(randomUUID(), 'not valid');
    expect(await events('timers retry', { answers: ['n'] })).toMatchObject({
      code: 3,
      asked: ['Try 2 timers again? [y/N] '],
    });
    expect(await events('timers retry --dry-run')).toMatchObject({ code: 0, out: '2 timers would be tried again.\n' });
    expect(await events('timers retry', { answers: ['y'] })).toMatchObject({
      code: 0,
      out: '2 timers will be tried again.\n',
    });
    expect(await events('timers retry')).toMatchObject({ code: 0, out: '0 timers will be tried again.\n' });

    const [first] = [await refusedEvent(), await refusedEvent(), await refusedEvent()];
    expect(await events(`outbox release ${first}`)).toMatchObject({ code: 0 });
    expect(await events('outbox release --all')).toMatchObject({
      code: 3,
      err: 'Publish 2 events again? Nobody is there to ask: add --yes.\n',
    });
    expect(await events('outbox release --all --yes')).toMatchObject({
      code: 0,
      out: '2 events will be published again within a second or two.\n',
    });
    expect(await it_.rows('select from messaging.unpublishable')).toEqual([]);
    expect((await it_.audit()).map(({ action, affected }) => [action, affected])).toEqual([
      ['timers.retry', 2],
      ['outbox.release', 1],
      ['outbox.release', 2],
    ]);
  });

  it('pauses and resumes', async () => {
    expect(await events('pause relay')).toMatchObject({ code: 1, err: expect.stringContaining('--reason') as string });
    expect(await events('pause rely --reason x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('can be paused: relay') as string,
    });
    expect(await events('pause relay --reason "broker upgrade"')).toMatchObject({ code: 0, out: 'relay is paused.\n' });
    expect((await events('pauses')).out).toContain('broker upgrade');
    expect(await events('resume relay')).toMatchObject({ code: 0, out: 'relay goes on.\n' });
    expect(await events('resume relay')).toMatchObject({ code: 1, err: '"relay" is not paused.\n' });
  });

  it('shows at a glance what waits for somebody, and nothing else', async () => {
    expect((await events('status')).out).not.toMatch(/Refused|Missing|Timers/);
    await refusedEvent();
    await setTimer(randomUUID(), 'no such event');
    await it_.rows(
      `insert into messaging.inbox_gaps (inbox, source, epoch, aggregate, page, recorded, first_position, last_position, pulls, due_at)
       values ('orders', '/users', gen_random_uuid(), 'users.user', 5, 3, 1, 3, 0, now())`,
    );
    const { out } = await events('status');
    expect(out).toMatch(/^Refused +1 event by the broker: events outbox status$/m);
    expect(out).toMatch(/^Missing +something of 1 page: events books$/m);
    expect(out).toMatch(/^Timers +1 failed, 0 overdue: events timers list$/m);
  });

  it('reads from all services, acts on one', async () => {
    const both = { services: ['orders', 'users'] };
    const { out } = await events('status', both);
    expect(out).toMatch(/^orders\n──────\n[^]*\nusers\n─────\n/);
    const json = (await events('status --json', both)).out;
    expect(json.match(/"service": "(orders|users)"/g)).toHaveLength(2);
    expect(await events('pause relay --reason x', both)).toMatchObject({
      code: 2,
      err: 'Which service? "pause" needs one: --service orders or --service users\n',
    });
    const asked = await events('pause relay --reason x', { ...both, answers: ['users'] });
    expect(asked).toMatchObject({ code: 0, asked: ['Which service, orders or users? '] });
    expect(await events('status --service shop', both)).toMatchObject({ code: 2 });
    expect(await events('status', { services: [] })).toMatchObject({
      code: 2,
      err: expect.stringContaining('npm start') as string,
    });
  });

  it('detaches a service that was removed, after asking', async () => {
    const vhost = await createTestVhost();
    const at = { rabbitmqUrls: [vhost.url] };
    try {
      expect(await events('detach shop', at)).toMatchObject({
        code: 1,
        err: 'The broker knows nothing of a service "shop".\n',
      });
      for (const queue of ['shop.inbox', 'shop.inbox.dead', 'shop.replay-requests', 'other.inbox']) {
        await vhost.api('PUT', `queues/${vhost.name}/${queue}`, { durable: true });
      }
      for (const exchange of ['shop.events', 'shop.replay', 'shop.inbox.dead', 'users.events']) {
        await vhost.api('PUT', `exchanges/${vhost.name}/${exchange}`, { type: 'topic', durable: true });
      }
      await vhost.api('POST', `bindings/${vhost.name}/e/users.events/q/shop.inbox`, { routing_key: 'users.user.#' });
      await vhost.api('POST', `bindings/${vhost.name}/e/shop.events/q/other.inbox`, { routing_key: 'shop.#' });
      await vhost.publish('users.events', 'users.user.registered.v1', 'x');
      const dry = await events('detach shop --dry-run', at);
      expect(dry.out).toContain('queue shop.inbox: 1 message, 0 consumers');
      expect(await events('detach shop', { ...at, answers: ['no'] })).toMatchObject({ code: 3 });
      expect(await vhost.queues()).toHaveLength(4);
      const { code, out } = await events('detach shop', { ...at, answers: ['y'], services: ['shop'] });
      expect([code, out]).toEqual([0, '5 of 6 deleted.\nKept, because others use it: shop.events\n']);
      expect((await vhost.queues()).map(({ name }) => name)).toEqual(['other.inbox']);
      expect((await vhost.bindings()).map(({ destination }) => destination)).toEqual(['other.inbox']);
      expect(await it_.audit()).toMatchObject([{ action: 'detach', affected: 5, parameters: { service: 'shop' } }]);
    } finally {
      await vhost.drop();
    }
  });

  it('says in a sentence what is wrong', async () => {
    const nobody = { ...{ services: ['orders'] } };
    const away = await run(['status'], {
      out: () => {},
      err: (text) => expect(text).toContain('cannot be reached'),
      ask: undefined,
      surroundings: () => ({
        services: [{ name: 'orders', databaseUrl: 'postgres://a:b@127.0.0.1:1/x' }],
        rabbitmqUrls: [],
      }),
      signal: new AbortController().signal,
    });
    expect(away).toBe(1);
    await it_.rows('drop schema messaging cascade');
    expect(await events('status', nobody)).toMatchObject({
      code: 1,
      err: expect.stringContaining('start the service once') as string,
    });
    expect(await events('detach shop --yes', { rabbitmqUrls: ['amqp://127.0.0.1:1'] })).toMatchObject({
      code: 1,
      err: expect.stringContaining('RabbitMQ cannot be reached') as string,
    });
  });

  it('explains every command', async () => {
    for (const { name } of COMMANDS) {
      const { code, out } = await events(`${name} --help`, { services: [] });
      expect([name, code, out.startsWith(`Usage: npm run events -- ${name}`)]).toEqual([name, 0, true]);
    }
  });
});
