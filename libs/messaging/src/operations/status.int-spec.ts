import { randomUUID } from 'node:crypto';
import { UserRegistered } from '@app/contracts';
import { createTestVhost, eventually } from '@app/testing';
import { Logger } from '@nestjs/common';
import { Outbox } from '../outbox/outbox.js';
import { Relay } from '../outbox/relay.js';
import { accounts, ownersSide, requestReplay } from './books-status.js';
import { closeHold, listHolds, releaseHold } from './holds.js';
import { logStatus, startEpoch } from './log.js';
import { alice, EPOCH, startOperations, type OperationsFixture } from './operations.fixture.js';
import { outboxStatus } from './outbox-status.js';
import { overview } from './overview.js';
import { pauseScope } from './pauses.js';
import { timersStatus } from './timers-status.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

const fill = (events: number) =>
  it_.rows(
    `with event as (
       insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data, recorded_at)
       select gen_random_uuid(), 'users.user.registered.v1', epoch, 'users.user', n::text, 1, 1, 'c', '{}', now() - interval '5 min'
       from messaging.log, generate_series(1, $1::int) n returning position)
     insert into messaging.outbox (position, bytes) select position, 100 from event`,
    events,
  );

beforeAll(() => void Logger.overrideLogger(false));

describe('the outbox', () => {
  it('tells how much waits, and since when', async () => {
    expect(await outboxStatus(it_.database)).toEqual({
      pending: 0,
      exact: true,
      bytes: 0,
      oldestAt: null,
      unpublishable: [],
      relay: null,
      paused: null,
    });
    await fill(3);
    const status = await outboxStatus(it_.database);
    expect(status).toMatchObject({ pending: 3, exact: true, bytes: 300 });
    expect(Date.now() - status.oldestAt!.getTime()).toBeGreaterThan(299_000);
  });

  it('is not counted beyond 10 000: then the positions it spans are an upper bound', async () => {
    await fill(12_000);
    await it_.rows('delete from messaging.outbox where position between 2 and 101');
    const status = await outboxStatus(it_.database);
    expect(status).toMatchObject({ pending: 12_000, exact: false, bytes: 1_200_000 });
  });

  it('shows what the broker refuses', async () => {
    await fill(1);
    await it_.rows(`with gone as (delete from messaging.outbox returning position)
                    insert into messaging.unpublishable (position, error) select position, 'too large' from gone`);
    const { unpublishable } = await outboxStatus(it_.database);
    expect(unpublishable).toMatchObject([{ type: 'users.user.registered.v1', subject: '1', error: 'too large' }]);
  });

  it('tells that an operator has paused publishing, and why', async () => {
    await pauseScope(it_.database, 'relay', { operator: { who: 'ann', reason: 'maintenance' } });
    expect((await outboxStatus(it_.database)).paused).toMatchObject({ by: 'ann', reason: 'maintenance' });
  });

  it('knows which process publishes', async () => {
    const vhost = await createTestVhost();
    const relay = new Relay({
      service: 'users',
      rabbitmqUrls: [vhost.url],
      databaseUrl: it_.url,
      roles: new Set(['relay']),
    });
    try {
      relay.start();
      await eventually(async () => {
        const { relay: active } = await outboxStatus(it_.database);
        expect(active?.name).toContain('users relay lock');
        expect(active?.address).toMatch(/^127\.0\.0\.1:\d+$/);
      });
    } finally {
      await relay.stop();
      await vhost.drop();
    }
    expect((await outboxStatus(it_.database)).relay).toBeNull();
  });
});

describe('the log', () => {
  it('starts a new epoch, in which every stream begins anew', async () => {
    const options = { service: 'users', rabbitmqUrls: [], databaseUrl: it_.url, roles: new Set([]) };
    const outbox = new Outbox(options, { recorded: () => {} } as unknown as Relay);
    const userId = randomUUID();
    const add = () =>
      it_.database.transaction((tx) =>
        outbox.add(tx, new UserRegistered({ userId, name: 'A', email: 'a@example.com' })),
      );
    await add();
    const { epoch: before } = await logStatus(it_.database);
    await startEpoch(it_.database, { ...alice, dryRun: true });
    expect((await logStatus(it_.database)).epoch).toBe(before);
    const { epoch } = await startEpoch(it_.database, alice);
    expect(epoch).not.toBe(before);
    await add();
    const events = await it_.rows('select epoch, sequence::int as sequence from messaging.events order by position');
    expect(events).toEqual([
      { epoch: before, sequence: 1 },
      { epoch, sequence: 1 },
    ]);
    expect(await it_.audit()).toMatchObject([{ action: 'log.new-epoch', parameters: { from: before } }]);
  });

  it('of another service flows again when it is released', async () => {
    await it_.rows(
      `insert into messaging.inbox_holds (inbox, source, epoch, reason) values ('orders', '/users', $1, 'fork')`,
      EPOCH,
    );
    await it_.parked({ state: 'waiting' });
    expect(await listHolds(it_.database)).toMatchObject([
      { inbox: 'orders', source: '/users', reason: 'fork', parked: 1 },
    ]);
    await expect(releaseHold(it_.database, { source: 'shop' }, alice)).rejects.toThrow('Nothing of /shop is held');
    await gap(5, 1, 3);
    await gap(6, 4, 3);
    await releaseHold(it_.database, { source: 'users' }, alice);
    expect(await listHolds(it_.database)).toEqual([]);
    // Else the next look would hold it again for what was just accepted; what is missing is still pulled.
    expect(await it_.rows('select page::int as page from messaging.inbox_gaps')).toEqual([{ page: 6 }]);
    expect(await it_.audit()).toMatchObject([{ action: 'hold.release', affected: 1 }]);
  });
});

/** A page of which so much was recorded there, and applied here. */
const gap = async (page: number, recorded: number, applied: number) => {
  const of = `values ('orders', '/users', '${EPOCH}', 'users.user', $1, $2`;
  await it_.rows(`insert into messaging.inbox_pages ${of})`, page, applied);
  await it_.rows(`insert into messaging.inbox_gaps ${of}, 1, 1, 0, now())`, page, recorded);
};

describe('a held log', () => {
  it('is closed: its parked events are dropped, others are not', async () => {
    await it_.rows(
      `insert into messaging.inbox_holds (inbox, source, epoch, reason) values ('orders', '/users', $1, 'fork')`,
      EPOCH,
    );
    await it_.parked({ state: 'waiting' });
    const other = await it_.parked({ inbox: 'orders.report' });
    expect(await closeHold(it_.database, { source: 'users' }, { ...alice, dryRun: true })).toEqual({
      affected: 1,
      dropped: 1,
    });
    expect(await closeHold(it_.database, { source: 'users' }, alice)).toEqual({ affected: 1, dropped: 1 });
    expect(await it_.rows('select id from messaging.parked_events')).toEqual([{ id: other }]);
    expect(await listHolds(it_.database)).toMatchObject([{ closedAt: expect.any(Date) as Date, parked: 0 }]);
    expect(await overview(it_.database)).toMatchObject({ holds: [] });
    await expect(closeHold(it_.database, { source: 'users' }, alice)).rejects.toThrow('Nothing of /users is held');
    await expect(releaseHold(it_.database, { source: 'users' }, alice)).rejects.toThrow('Nothing of /users is held');
    expect(await it_.audit()).toMatchObject([{ action: 'hold.close', affected: 1 }]);
  });

  it('keeps what the books have counted as parked, because it would not be pulled again', async () => {
    await it_.rows(
      `insert into messaging.inbox_holds (inbox, source, epoch, reason) values ('orders', '/users', $1, 'fork')`,
      EPOCH,
    );
    await it_.rows(
      `insert into messaging.inbox_books (inbox, source, epoch, aggregate, balanced_page) values ('orders', '/users', $1, 'users.user', 5)`,
      EPOCH,
    );
    await gap(4, 2, 0);
    const [counted] = [await it_.parked({ page: 3 }), await it_.parked({ page: 4 }), await it_.parked({ page: 6 })];
    expect(await closeHold(it_.database, { source: 'users' }, alice)).toEqual({ affected: 1, dropped: 2 });
    expect(await it_.rows('select id from messaging.parked_events')).toEqual([{ id: counted }]);
  });

  it('that was closed is opened again if it is named', async () => {
    await it_.rows(
      `insert into messaging.inbox_holds (inbox, source, epoch, reason) values ('orders', '/users', $1, 'fork')`,
      EPOCH,
    );
    await closeHold(it_.database, { source: 'users' }, alice);
    expect(await releaseHold(it_.database, { source: 'users', epoch: EPOCH }, alice)).toEqual({ affected: 1 });
    expect(await listHolds(it_.database)).toEqual([]);
  });
});

describe('the books', () => {
  it('put both sides next to each other', async () => {
    const account = [EPOCH, 'users.user'];
    const page = 'insert into messaging.pages (epoch, aggregate, page, recorded, first_position, last_position) values';
    await it_.rows(`${page} ($1, $2, 1, 40, 1, 1), ($1, $2, 2, 4, 1, 1), ($1, 'users.other', 1, 9, 1, 1)`, ...account);
    const of = `values ('orders', '/users', $1, $2,`;
    const key = '(inbox, source, epoch, aggregate';
    await it_.rows(`insert into messaging.inbox_books ${key}, balanced_page, folded) ${of} 2, 40)`, ...account);
    await it_.rows(`insert into messaging.inbox_pages ${key}, page, applied) ${of} 2, 1)`, ...account);
    const gap = `insert into messaging.inbox_gaps ${key}, page, recorded, first_position, last_position, pulls, due_at)`;
    await it_.rows(`${gap} ${of} 2, 4, 1, 1, 3, now() + interval '1 h')`, ...account);
    await it_.rows(`insert into messaging.inbox_sources (inbox, source, asked_at) values ('orders', '/users', now())`);
    await it_.parked({ page: 2 });
    const found = await accounts(it_.database);
    expect(found).toMatchObject([
      {
        inbox: 'orders',
        source: '/users',
        balancedPage: 2,
        applied: 41,
        parked: 1,
        held: null,
        gaps: [{ page: 2, recorded: 4, applied: 1, parked: 1, missing: 2, pulls: 3 }],
      },
    ]);
    expect(await ownersSide(it_.database, found[0]!)).toEqual({ settledPage: 0, recorded: 44 });
    await requestReplay(it_.database, {}, alice);
    const due = await it_.rows('select due_at <= now() as due from messaging.inbox_gaps');
    expect(due).toEqual([{ due: true }]);
  });

  it('are looked at now if somebody asks', async () => {
    await expect(requestReplay(it_.database, {}, alice)).rejects.toThrow('hears nothing');
    await it_.rows(`insert into messaging.inbox_sources (inbox, source, asked_at) values ('orders', '/users', now())`);
    await expect(requestReplay(it_.database, { inbox: 'x' }, alice)).rejects.toThrow('no inbox "x"');
    await requestReplay(it_.database, { inbox: 'orders' }, alice);
    expect(await it_.rows('select isfinite(asked_at) as finite from messaging.inbox_sources')).toEqual([
      { finite: false },
    ]);
  });
});

describe('at a glance', () => {
  it('counts parked events by state', async () => {
    await it_.parked({ state: 'dead' });
    await it_.parked({ state: 'dead' });
    await it_.parked({ state: 'waiting' });
    expect(await overview(it_.database)).toMatchObject({
      outbox: { pending: 0, unpublishable: 0 },
      parked: { waiting: 1, retry: 0, slow: 0, incompatible: 0, dead: 2 },
      pagesMissing: 0,
      holds: [],
      pauses: [],
      timers: { failed: 0 },
    });
  });

  it('shows what the broker refuses and what has not arrived', async () => {
    await it_.rows(`insert into messaging.unpublishable (position, error) values (1, 'too large')`);
    await gap(5, 3, 1);
    expect(await overview(it_.database)).toMatchObject({ outbox: { unpublishable: 1 }, pagesMissing: 1 });
  });

  it('shows timers', async () => {
    expect(await timersStatus(it_.database)).toMatchObject({ pending: 0, overdue: 0, failed: 0, nextAt: null });
    for (const [minutes, error] of [
      [-1, null],
      [5, null],
      [-9, 'no'],
    ] as const) {
      await it_.rows(
        `insert into messaging.timers (id, due_at, type, aggregate, subject, correlation_id, data, error)
         values (gen_random_uuid(), now() + make_interval(mins => $1), 't', 'a', 's', 'c', '{}', $2)`,
        minutes,
        error,
      );
    }
    const timers = await timersStatus(it_.database);
    expect(timers).toMatchObject({ pending: 3, exact: true, overdue: 1, failed: 1 });
    expect(Math.round((timers.nextAt!.getTime() - Date.now()) / 60_000)).toBe(-1);
  });
});
