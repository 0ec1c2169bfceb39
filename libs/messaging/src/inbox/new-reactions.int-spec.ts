import { migrate } from '@app/database';
import { messagingMigrations } from '@app/messaging';
import { createTestDatabase, type TestDatabase } from '@app/testing';
import { Pool } from 'pg';
import type { AnyReaction } from './awaited-event-bus.js';
import { admitReactions, UndeclaredReactionError } from './new-reactions.js';

const REGISTERED = 'users.user.registered.v1';
const REGISTERED_2 = 'users.user.registered.v2';

describe('a reaction that is new in an inbox', () => {
  let server: TestDatabase;
  let pool: Pool;
  beforeAll(async () => {
    server = await createTestDatabase('messaging', (url) => migrate(url, [messagingMigrations]));
    pool = new Pool({ connectionString: server.url, max: 2 });
  });
  afterAll(async () => {
    await pool?.end();
    await server?.drop();
  });
  beforeEach(() => pool.query('truncate messaging.reactions, messaging.inbox_pages, messaging.inbox_books'));

  class OpenCustomer {}
  class OpenCustomerV2 {}
  class SendWelcome {}
  class SendWelcomeFromNowOn {
    readonly history = 'from now on';
  }

  const admit = (...reactions: [new () => object, string][]) =>
    admitReactions(
      pool,
      'orders',
      reactions.map(([reaction, type]) => ({ type, aggregate: 'users.user', reaction: new reaction() as AnyReaction })),
    );
  const hearOfUser = () =>
    pool.query(`insert into messaging.inbox_pages (inbox, source, epoch, aggregate, page, applied)
      values ('orders', '/users', gen_random_uuid(), 'users.user', 1, 1)`);

  it('is welcome while nothing has happened', async () => {
    await admit([OpenCustomer, REGISTERED]);
    await admit([OpenCustomer, REGISTERED], [SendWelcome, REGISTERED]);
  });

  it('is refused when it has missed something and does not say that this is meant', async () => {
    await admit([OpenCustomer, REGISTERED]);
    await hearOfUser();
    const late = admit([OpenCustomer, REGISTERED], [SendWelcome, REGISTERED]);
    await expect(late).rejects.toThrow(UndeclaredReactionError);
    await expect(late).rejects.toThrow(/SendWelcome \(users\.user\.registered\.v1\).*history = 'from now on'/);
    await admit([OpenCustomer, REGISTERED], [SendWelcomeFromNowOn, REGISTERED]);
  });

  it('is welcome for a new version of an event, which has waited for it', async () => {
    await admit([OpenCustomer, REGISTERED]);
    await hearOfUser();
    await admit([OpenCustomer, REGISTERED], [OpenCustomerV2, REGISTERED_2]);
  });

  it('is welcome for it in place of the old version', async () => {
    await admit([OpenCustomer, REGISTERED]);
    await hearOfUser();
    await admit([OpenCustomerV2, REGISTERED_2]);
  });

  it('is refused for a version that others have heard already', async () => {
    await admit([OpenCustomer, REGISTERED], [OpenCustomerV2, REGISTERED_2]);
    await hearOfUser();
    const late = admit([OpenCustomer, REGISTERED], [OpenCustomerV2, REGISTERED_2], [SendWelcome, REGISTERED_2]);
    await expect(late).rejects.toThrow(UndeclaredReactionError);
  });

  it('is refused for another event of the aggregate, which was passed by', async () => {
    await admit([OpenCustomer, REGISTERED]);
    await hearOfUser();
    const late = admit([OpenCustomer, REGISTERED], [SendWelcome, 'users.user.deactivated.v1']);
    await expect(late).rejects.toThrow(UndeclaredReactionError);
  });
});
