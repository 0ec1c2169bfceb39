import { alice, EPOCH, startOperations, type OperationsFixture } from './operations.fixture.js';
import { inboxes, rebuildInbox } from './inbox-rebuild.js';
import { pauseScope } from './pauses.js';

let it_: OperationsFixture;
beforeEach(async () => (it_ = await startOperations()));
afterEach(() => it_.stop());

describe('inbox rebuild', () => {
  const know = (inbox: string) =>
    it_.rows(`insert into messaging.reactions (inbox, reaction, type) values ($1, 'Report', 't')`, inbox);

  it('forgets everything that the inbox has applied, and nothing of others', async () => {
    await know('orders.report');
    await know('orders');
    for (const inbox of ['orders.report', 'orders']) {
      await it_.parked({ inbox });
      await it_.rows(
        `insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
         values ($1, '/users', $2, 'a', 's', 1, $2)`,
        inbox,
        EPOCH,
      );
    }
    expect(await inboxes(it_.database)).toEqual(['orders', 'orders.report']);
    const rebuild = (options = alice) => rebuildInbox(it_.database, 'orders', 'orders.report', options);
    await expect(rebuild()).rejects.toThrow('Pause it first');
    await pauseScope(it_.database, 'inbox:orders.report', alice);
    await expect(rebuild()).rejects.toThrow('may still be under way');
    await it_.rows(`update messaging.pauses set since = since - interval '5 s'`);
    await it_.rows(`update messaging.parked_events set claimed_at = now(), due_at = now() + interval '6 s'`);
    await expect(rebuild()).rejects.toThrow('may still be under way');
    await it_.rows(`update messaging.parked_events set claimed_at = null`);
    const foreign = await it_.unreadable('{"by": "hand"}');
    await it_.rows(`update messaging.parked_events set inbox = 'orders.report' where id = $1`, foreign);
    expect(await rebuild({ ...alice, dryRun: true })).toMatchObject({ streams: 1, parked: 1 });
    expect(await rebuild()).toMatchObject({ streams: 1, parked: 1 });
    expect(await it_.rows('select distinct inbox from messaging.inbox_streams')).toEqual([{ inbox: 'orders' }]);
    const left = await it_.rows('select id, inbox from messaging.parked_events order by inbox');
    expect(left).toMatchObject([{ inbox: 'orders' }, { id: foreign, inbox: 'orders.report' }]);
    expect(await inboxes(it_.database)).toEqual(['orders', 'orders.report']);
    expect(await it_.audit()).toMatchObject([{ action: 'pause' }, { action: 'inbox.rebuild', affected: 2 }]);
  });

  it('refuses the main inbox, whose reactions do more than keep a projection, and unknown ones', async () => {
    await know('orders');
    await expect(rebuildInbox(it_.database, 'orders', 'orders', alice)).rejects.toThrow('main inbox');
    await expect(rebuildInbox(it_.database, 'orders', 'x', alice)).rejects.toThrow('no inbox "x" here, only: orders');
  });
});
