// A log as it is after a year or two, and a subscriber that has heard all of it. In SQL, because ten million requests take hours.

/** @typedef {{ events: number, streams: number }} Size */

const EVENTS_PER_PAGE = 100;
/** The id follows from the position, so that both sides agree without looking at each other. */
const idOf = (/** @type {string} */ position) => `md5('event ' || ${position})::uuid`;

/** Rows come without their indexes, which are built afterwards: a third of the time. */
const LOG_INDEXES = `
alter table messaging.events add constraint events_subject_aggregate_epoch_sequence_key
  unique (subject, aggregate, epoch, sequence);
create index events_page on messaging.events (page)`;

/**
 * The owner's side: `streams` users, whose events were told in turns.
 * @param {(sql: string) => Promise<unknown>} query
 * @param {Size} size
 */
export async function fillLog(query, { events, streams }) {
  const pages = events / EVENTS_PER_PAGE;
  await query(`
    alter table messaging.events drop constraint events_subject_aggregate_epoch_sequence_key;
    drop index messaging.events_page`);
  await query(`
    insert into messaging.events (id, type, epoch, aggregate, subject, sequence, page, correlation_id, data)
    select ${idOf('p')}, case when p <= ${streams} then 'users.user.registered.v1' else 'users.user.profile-changed.v1' end,
           l.epoch, 'users.user', ${subjectOf('p', streams)}, 1 + (p - 1) / ${streams}, 1 + (p - 1) / ${EVENTS_PER_PAGE},
           p::text, json_build_object('userId', ${subjectOf('p', streams)}, 'name', 'Ann', 'email', p || '@example.com')
    from messaging.log l, generate_series(1, ${events}) p`);
  await query(LOG_INDEXES);
  await query(`
    insert into messaging.streams (epoch, aggregate, subject, last_sequence)
    select l.epoch, 'users.user', ${subjectOf('p', streams)}, ${events / streams}
    from messaging.log l, generate_series(1, ${streams}) p`);
  await query(`
    insert into messaging.pages (page, epoch, aggregate, recorded, first_position, last_position)
    select n, l.epoch, 'users.user', ${EVENTS_PER_PAGE}, (n - 1) * ${EVENTS_PER_PAGE} + 1, n * ${EVENTS_PER_PAGE}
    from messaging.log l, generate_series(1, ${pages}) n`);
  await query(`
    select setval('messaging.page', ${pages + 1});
    update messaging.log set settled_page = ${pages}`);
}

/**
 * The subscriber's side: it has applied all of them, and its books balance.
 * @param {(sql: string) => Promise<unknown>} query
 * @param {Size & { epoch: string }} size
 */
export async function fillInbox(query, { events, streams, epoch }) {
  await query(`
    insert into messaging.inbox_streams (inbox, source, epoch, aggregate, subject, last_sequence, last_event_id)
    select 'orders', '/users', '${epoch}', 'users.user', ${subjectOf('p', streams)}, ${events / streams},
           ${idOf(`(${events - streams} + p)`)}
    from generate_series(1, ${streams}) p`);
  await query(`
    insert into messaging.inbox_books (inbox, source, epoch, aggregate, balanced_page, folded)
    values ('orders', '/users', '${epoch}', 'users.user', ${events / EVENTS_PER_PAGE}, ${events})`);
}

/**
 * Timers of users that nobody knows, due in `dueIn`; their events say when that was.
 * @param {(sql: string) => Promise<unknown>} query
 * @param {number} count
 * @param {string} dueIn an interval; `n` is the number of the timer
 */
export async function setTimers(query, count, dueIn) {
  await query(`
    insert into messaging.timers (id, key, due_at, type, aggregate, subject, correlation_id, data)
    select id, id::text, due, 'users.user.deactivated.v1', 'users.user', subject, 'scale',
           json_build_object('userId', subject, 'reason', due)
    from (select gen_random_uuid() as id, gen_random_uuid()::text as subject, clock_timestamp() + ${dueIn} as due
          from generate_series(1, ${count}) n offset 0) t`);
}

/** @param {string} position @param {number} streams */
const subjectOf = (position, streams) =>
  `lpad(to_hex((${position} - 1) % ${streams}), 8, '0') || '-0000-4000-8000-000000000000'`;
