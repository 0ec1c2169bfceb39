import { randomUUID } from 'node:crypto';
import { eventually } from '@app/testing';
import type { LoggedEvent } from '../cloud-event.js';
import { LOOK_STREAMS } from './parked-heads.js';
import { arrival, see, startInbox, stream, subjectOf, users, type InboxFixture } from './inbox.fixture.js';
import { STREAMS } from './parked-worker.js';

const LIMIT_MS = 2_000;

describe('ParkedWorker', () => {
  let inbox: InboxFixture;
  let fails: (name: string) => boolean;
  let runs: string[];
  beforeAll(async () => (inbox = await startInbox()));
  afterAll(() => inbox?.stop());
  beforeEach(async () => {
    await inbox.clear();
    fails = () => false;
    runs = [];
    inbox.handle = async (event, tx) => {
      runs.push(event.name);
      await see(event, tx);
      if (fails(event.name)) throw new Error(`${event.name} fails`);
    };
  });

  const numbers = (to: number) => Array.from({ length: to }, (_, i) => String(i + 1));
  /** The first event of the stream is parked because it failed, the others because they wait for it. */
  const parkStream = async (userId: string, length: number) => {
    fails = (name) => name === '1';
    await inbox.applier.apply(stream(userId, length), LIMIT_MS);
    expect(await inbox.parked()).toHaveLength(length);
    runs = [];
  };

  it('tries the head again, and its successors follow in order', async () => {
    const userId = randomUUID();
    await parkStream(userId, 250); // more than the worker takes at a time
    fails = () => false;
    await inbox.hurry();
    inbox.startWorker();
    await inbox.isEmpty();
    expect(await inbox.seenOf(userId)).toEqual(numbers(250));
    expect(await inbox.gateOf(userId)).toBe(250);
    expect(await inbox.applied()).toBe(250);
  });

  it('touches nothing before the reactions of its inbox are admitted', async () => {
    const userId = randomUUID();
    await parkStream(userId, 2);
    fails = () => false;
    await inbox.hurry();
    let isAdmitted = false;
    const admit = jest.fn(() => (isAdmitted ? Promise.resolve() : Promise.reject(new Error('not admitted'))));
    inbox.startWorker(admit);
    await eventually(() => expect(admit.mock.calls.length).toBeGreaterThan(1));
    expect(runs).toEqual([]);
    expect(await inbox.parked()).toHaveLength(2);
    isAdmitted = true;
    await inbox.isEmpty();
    expect(await inbox.seenOf(userId)).toEqual(numbers(2));
  });

  it('leaves events of a held log as they are, and tries them when it is released', async () => {
    const [held, free] = [arrival(randomUUID(), 1), arrival(randomUUID(), 1, { epoch: randomUUID() })];
    fails = () => true;
    await inbox.applier.apply([held, free], LIMIT_MS);
    fails = () => false;
    runs = [];
    const { source, epoch } = held.envelope as LoggedEvent;
    await inbox.holds.hold(source, epoch, 'fork');
    await inbox.rows(
      `update messaging.parked_events set due_at = now() - (subject = $1)::int * interval '1 min'`,
      subjectOf(held),
    );
    inbox.startWorker();
    await eventually(async () => expect(await inbox.seenOf(subjectOf(free))).toEqual(['1']));
    expect(await inbox.parked()).toMatchObject([{ subject: subjectOf(held), state: 'retry', attempts: 1 }]);
    expect(runs).toHaveLength(1);
    await inbox.rows('delete from messaging.inbox_holds');
    await inbox.isEmpty();
    expect(await inbox.seenOf(subjectOf(held))).toEqual(['1']);
  });

  it('stops at the next one that fails, and goes on from there', async () => {
    const userId = randomUUID();
    await parkStream(userId, 10);
    fails = (name) => name === '4';
    await inbox.hurry();
    inbox.startWorker();
    await eventually(async () =>
      expect((await inbox.parked())[0]).toMatchObject({ sequence: 4, state: 'retry', attempts: expect.any(Number) }),
    );
    expect(await inbox.seenOf(userId)).toEqual(numbers(3));
    fails = () => false;
    await inbox.hurry();
    await inbox.isEmpty();
    expect(await inbox.seenOf(userId)).toEqual(numbers(10));
  });

  it('waits for a predecessor that has not arrived, and takes the successors along when it has', async () => {
    const userId = randomUUID();
    const [first, ...rest] = stream(userId, 5);
    await inbox.applier.apply(rest, LIMIT_MS);
    inbox.startWorker();
    const other = arrival(randomUUID(), 2); // waits, too; and goes on waiting
    await inbox.applier.apply([other], LIMIT_MS);
    await inbox.applier.apply([first!], LIMIT_MS);
    await eventually(async () => expect(await inbox.seenOf(userId)).toEqual(numbers(5)));
    expect(await inbox.parked()).toMatchObject([{ subject: other.envelope.subject, state: 'waiting', attempts: 0 }]);
  });

  it('counts attempts, and waits longer after each', async () => {
    const userId = randomUUID();
    await parkStream(userId, 1);
    inbox.startWorker();
    for (const [attempts, delay] of [
      [1, 1],
      [2, 5],
      [3, 30],
      [4, 300],
      [5, 1800],
      [6, 3600],
    ] as const) {
      await eventually(async () => {
        const [head] = await inbox.parked();
        expect(head).toMatchObject({ state: 'retry', attempts, error: expect.stringContaining('1 fails') });
        expect(head!.due_in).toBeGreaterThan(delay * 0.9 - 3);
        expect(head!.due_in).toBeLessThan(delay * 1.1);
      });
      await inbox.hurry();
    }
  });

  it('gives up after the last attempt: the event is dead, its stream is held, others are not', async () => {
    const [userId, other] = [randomUUID(), randomUUID()];
    await parkStream(userId, 3);
    await inbox.rows(`update messaging.parked_events set attempts = 77 where state = 'retry'`);
    await inbox.hurry();
    inbox.startWorker();
    await eventually(async () =>
      expect(await inbox.parked()).toMatchObject([
        { sequence: 1, state: 'dead', attempts: 78, never: true },
        { sequence: 2, state: 'waiting' },
        { sequence: 3, state: 'waiting' },
      ]),
    );
    fails = () => false;
    runs = [];
    await inbox.applier.apply([arrival(other, 2)], LIMIT_MS); // proves that the worker has looked again
    await inbox.applier.apply([arrival(other, 1)], LIMIT_MS);
    await eventually(async () => expect(await inbox.seenOf(other)).toEqual(['1', '2']));
    expect(runs).toEqual(['1', '2']);
    expect(await inbox.seenOf(userId)).toEqual([]);
  });

  it('gives a slow reaction the time that it needs', async () => {
    const userId = randomUUID();
    let finish = () => {};
    const mayFinish = new Promise<void>((resolve) => (finish = resolve));
    inbox.handle = async (event, tx) => {
      await mayFinish;
      await see(event, tx);
    };
    await inbox.applier.apply(stream(userId, 3), 100);
    expect(await inbox.parked()).toMatchObject([
      { state: 'slow', attempts: 0 },
      { state: 'waiting' },
      { state: 'waiting' },
    ]);
    inbox.startWorker();
    await eventually(async () =>
      expect(await inbox.rows('select from messaging.parked_events where claimed_at is not null')).toHaveLength(1),
    );
    finish();
    await inbox.isEmpty();
    expect(await inbox.seenOf(userId)).toEqual(['1', '2', '3']);
  });

  it('tries what this version could not read again when the service starts', async () => {
    const userId = randomUUID();
    const data = { userId, name: '', email: 'test@example.com' };
    await inbox.applier.apply([arrival(userId, 1, { data }), arrival(userId, 2)], LIMIT_MS);
    expect(await inbox.parked()).toMatchObject([
      { state: 'incompatible', attempts: 0, never: true },
      { sequence: 2, state: 'waiting' },
    ]);
    // As a new version would: the contract has not changed here, so the event has.
    await inbox.rows(
      `update messaging.parked_events set body = convert_to(replace(convert_from(body, 'UTF8'), '"name":""', '"name":"1"'), 'UTF8')`,
    );
    inbox.startWorker();
    await inbox.isEmpty();
    expect(await inbox.seenOf(userId)).toEqual(['1', '2']);
  });

  it('tries all of them, some at a time, and those that it still cannot read once', async () => {
    const many = Array.from({ length: 90 }, () => {
      const userId = randomUUID();
      return arrival(userId, 1, { data: { userId, name: '', email: 'test@example.com' } });
    });
    await inbox.applier.apply(many, LIMIT_MS);
    expect(await inbox.parked()).toHaveLength(90);
    await inbox.rows(
      `update messaging.parked_events set body = convert_to(replace(convert_from(body, 'UTF8'), '"name":""', '"name":"1"'), 'UTF8')
       where id % 2 = 0`,
    );
    inbox.startWorker();
    await eventually(async () => expect(await inbox.parked()).toHaveLength(45));
    await eventually(async () => expect((await inbox.parked()).every(({ never }) => never)).toBe(true));
    expect(await inbox.parked()).toMatchObject(Array(45).fill({ state: 'incompatible', never: true }));
  });

  it('finds a stream that may go on behind more that may not than one look sees', async () => {
    const userId = 'ffffffff-ffff-4fff-bfff-ffffffffffff'; // the last one
    await inbox.applier.apply([arrival(userId, 2)], LIMIT_MS);
    await inbox.rows(
      `insert into messaging.parked_events
         (inbox, source, epoch, aggregate, subject, sequence, page, event_id, type, state, due_at, body)
       select inbox, source, epoch, aggregate, '0' || n, 2, page, gen_random_uuid(), type, state, due_at, body
       from messaging.parked_events, generate_series(1, $1::int) n`,
      LOOK_STREAMS + 10,
    );
    // Its predecessor went through, and nobody woke it.
    await inbox.rows(
      `insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
       select inbox, source, epoch, aggregate, subject, 1, gen_random_uuid() from messaging.parked_events where subject = $1`,
      userId,
    );
    inbox.startWorker();
    await eventually(async () => expect(await inbox.seenOf(userId)).toEqual(['2']));
  });

  it('shares the work with other processes: each event runs once', async () => {
    const heads = users(20);
    fails = () => true;
    await inbox.applier.apply(heads, LIMIT_MS);
    fails = () => false;
    runs = [];
    await inbox.hurry();
    for (let i = 0; i < 3; i++) inbox.startWorker();
    await inbox.isEmpty();
    expect(await inbox.seen()).toHaveLength(20);
    expect(runs).toHaveLength(20);
  });

  it('starts nothing more of what it has found once the inbox is paused', async () => {
    fails = () => true;
    await inbox.applier.apply(users(3 * STREAMS), LIMIT_MS);
    runs = [];
    let finish = () => {};
    const mayFinish = new Promise<void>((resolve) => (finish = resolve));
    inbox.handle = async (event, tx) => {
      runs.push(event.name);
      await mayFinish;
      await see(event, tx);
    };
    await inbox.hurry();
    inbox.startWorker();
    await eventually(() => expect(runs).toHaveLength(STREAMS));
    await inbox.rows(`insert into messaging.pauses (scope, reason, by) values ('inbox:orders', 'a bug', 'alice')`);
    finish();
    await eventually(async () => expect(await inbox.seen()).toHaveLength(STREAMS));
    await new Promise((resolve) => setTimeout(resolve, 500)); // the next ones would have started at once
    expect(runs).toHaveLength(STREAMS);
    await inbox.rows('delete from messaging.pauses');
    await inbox.isEmpty();
    expect(runs).toHaveLength(3 * STREAMS);
  });

  it('takes over what a process had when it died; with the fourth death the event is dead', async () => {
    const [userId, other] = [randomUUID(), randomUUID()];
    await parkStream(userId, 1);
    await inbox.applier.apply([arrival(other)], LIMIT_MS);
    fails = () => false;
    runs = [];
    // A worker had claimed them, and died: the claims are still there, and have expired.
    await inbox.rows(
      `update messaging.parked_events set claimed_at = now(), crashes = case subject when $1 then 3 else 0 end`,
      userId,
    );
    await inbox.hurry();
    inbox.startWorker();
    await eventually(async () =>
      expect(await inbox.parked()).toMatchObject([
        { subject: userId, state: 'dead', error: expect.stringMatching(/4 processes died/) },
      ]),
    );
    expect(await inbox.seenOf(other)).toEqual(['1']);
    expect(runs).toEqual(['1']);
  });

  it('tries an event alone after a death, so that it does not answer for its successors', async () => {
    const userId = randomUUID();
    await inbox.applier.apply([arrival(userId, 3), arrival(userId, 2)], LIMIT_MS);
    await inbox.rows(
      `insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
       select inbox, source, epoch, aggregate, subject, 1, gen_random_uuid() from messaging.parked_events where sequence = 2`,
    );
    await inbox.rows('update messaging.parked_events set claimed_at = now(), due_at = now() where sequence = 2');
    let finish = () => {};
    const mayFinish = new Promise<void>((resolve) => (finish = resolve));
    inbox.handle = async (event, tx) => {
      if (event.name === '3') await mayFinish;
      await see(event, tx);
    };
    inbox.startWorker();
    await eventually(async () => expect(await inbox.seenOf(userId)).toEqual(['2']));
    finish();
    await inbox.isEmpty();
  });

  it('waits twice as long after each death: who was only there when it was killed is not the culprit', async () => {
    const userId = randomUUID();
    await parkStream(userId, 1);
    await inbox.rows('update messaging.parked_events set claimed_at = now(), crashes = 1');
    await inbox.hurry();
    let finish: (() => void) | undefined;
    inbox.handle = () => new Promise<void>((resolve) => (finish = resolve));
    inbox.startWorker();
    await eventually(async () => {
      expect(finish).toBeDefined(); // at work
      const [head] = await inbox.parked();
      expect(head).toMatchObject({ crashes: 2 });
      expect(head!.due_in).toBeGreaterThan(20);
    });
    finish!();
    await inbox.isEmpty();
  });

  it('hands the event over as it came, to the last character', async () => {
    const userId = randomUUID();
    const name = String.raw`C:\u0000 "quoted" 名😀 \\ end`;
    const data = { userId, name, email: 'test@example.com' };
    await inbox.applier.apply([arrival(userId, 2, { data })], LIMIT_MS);
    await inbox.applier.apply([arrival(userId, 1)], LIMIT_MS);
    inbox.startWorker();
    await eventually(async () => expect(await inbox.seenOf(userId)).toEqual(['1', name]));
  });
});
