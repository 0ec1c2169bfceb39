-- What a service needs to tell its events and to hear those of others. Every service has its own copy.
create schema messaging;

-- ── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- One life of the event log. A database that was restored to an older point gets a new epoch.
create table messaging.log (
  only_row boolean primary key default true check (only_row),
  epoch uuid not null default gen_random_uuid(),
  started_at timestamptz not null default now(),
  -- Pages up to this one are settled: nothing can be written to them any more, their counts are final.
  settled_page bigint not null default 0
);
-- All lives of the log, the present one included.
create table messaging.epochs (
  epoch uuid primary key,
  since timestamptz not null default now()
);
create function messaging.remember_epoch() returns trigger language plpgsql as $$
begin
  insert into messaging.epochs (epoch) values (new.epoch) on conflict do nothing;
  return null;
end $$;
create trigger remember_epoch after insert or update of epoch on messaging.log
  for each row execute function messaging.remember_epoch();
insert into messaging.log default values;

-- The open page of the log. A sequence, because closing a page must be visible to everybody at once.
create sequence messaging.page;
select nextval('messaging.page');

-- The last sequence of each stream; its row lock serialises the writers of one aggregate.
create table messaging.streams (
  epoch uuid not null,
  aggregate text not null,
  subject text not null,
  last_sequence bigint not null,
  primary key (epoch, aggregate, subject)
) with (fillfactor = 85);

-- Every event this service ever recorded: append-only, the source of truth for replay.
create table messaging.events (
  position bigint generated always as identity (cache 1) primary key,
  id uuid not null,
  type text not null,
  epoch uuid not null,
  aggregate text not null,
  subject text not null,
  sequence bigint not null,
  page bigint not null,
  recorded_at timestamptz not null default now(),
  correlation_id text not null,
  causation_id text,
  traceparent text,
  data json not null,
  unique (epoch, aggregate, subject, sequence)
);
create index events_page on messaging.events (page);

-- The books: how many events each settled page holds. Immutable.
create table messaging.pages (
  page bigint not null,
  epoch uuid not null,
  aggregate text not null,
  recorded bigint not null,
  first_position bigint not null,
  last_position bigint not null,
  primary key (aggregate, epoch, page)
);

-- Logged events that the broker has not confirmed yet. `bytes` lets the relay bound what it reads.
create table messaging.outbox (
  position bigint primary key,
  bytes integer not null
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- Events that the broker will not take at all; their streams are held until somebody acts.
create table messaging.unpublishable (
  position bigint primary key,
  error text not null,
  since timestamptz not null default now()
);

-- ── Hearing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- The gate: what was applied last of each stream, per inbox.
create table messaging.inbox_streams (
  inbox text not null,
  source text not null,
  epoch uuid not null,
  aggregate text not null,
  subject text not null,
  last_sequence bigint not null,
  last_event_id uuid not null,
  primary key (inbox, source, epoch, aggregate, subject)
) with (fillfactor = 85);

-- The subscriber's side of the books: how many events of each page the gate has let through.
create table messaging.inbox_pages (
  inbox text not null,
  source text not null,
  epoch uuid not null,
  aggregate text not null,
  page bigint not null,
  applied bigint not null,
  primary key (inbox, source, epoch, aggregate, page)
) with (fillfactor = 70);

-- Pages up to this one were compared with the owner's, and balance (recorded = applied + parked) but for those in
-- inbox_gaps. The rows of pages that balance are folded into one total.
create table messaging.inbox_books (
  inbox text not null,
  source text not null,
  epoch uuid not null,
  aggregate text not null,
  balanced_page bigint not null,
  folded bigint not null default 0,
  primary key (inbox, source, epoch, aggregate)
);

-- Pages that did not balance when they were compared, as the owner recorded them: pulled until they do.
create table messaging.inbox_gaps (
  inbox text not null,
  source text not null,
  epoch uuid not null,
  aggregate text not null,
  page bigint not null,
  recorded bigint not null,
  first_position bigint not null,
  last_position bigint not null,
  pulls integer not null default 0,
  due_at timestamptz not null,
  primary key (inbox, source, epoch, aggregate, page)
);

-- When the books of a source were asked for; one process of several asks.
create table messaging.inbox_sources (
  inbox text not null,
  source text not null,
  asked_at timestamptz not null,
  primary key (inbox, source)
);

-- Logs that contradict what was applied (a restored producer, a forged event): their events are parked until it is resolved.
create table messaging.inbox_holds (
  inbox text not null,
  source text not null,
  epoch uuid not null,
  reason text not null,
  since timestamptz not null default now(),
  primary key (inbox, source, epoch)
);

-- Which reaction has been in which inbox since when: a new one does not silently miss what happened before.
create table messaging.reactions (
  inbox text not null,
  reaction text not null,
  type text not null,
  since timestamptz not null default now(),
  primary key (inbox, reaction, type)
);

-- Events that were delivered more than once: attempts are written down before the reaction runs, so that an event that
-- kills the process is recognised.
create table messaging.inbox_attempts (
  inbox text not null,
  event_id text not null,
  attempts integer not null,
  primary key (inbox, event_id)
);

-- Events of foreign producers, which have no sequence: each is applied once.
create table messaging.foreign_events (
  inbox text not null,
  source text not null,
  id text not null,
  received_at timestamptz not null default now(),
  primary key (inbox, source, id)
);
create index foreign_events_received_at on messaging.foreign_events (received_at);

-- Events that cannot be applied now. `state`:
--   waiting       a predecessor is missing or held
--   retry         a reaction failed; tried again at due_at
--   slow          a live reaction took too long; run by the workers, with more time
--   incompatible  this version of the service cannot read it; tried again when the version changes
--   dead          given up, or never readable; an operator decides
create table messaging.parked_events (
  id bigint generated always as identity primary key,
  inbox text not null,
  source text,
  epoch uuid,
  aggregate text,
  subject text,
  sequence bigint,
  page bigint,
  event_id text,
  type text,
  state text not null check (state in ('waiting', 'retry', 'slow', 'incompatible', 'dead')),
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  parked_at timestamptz not null default now(),
  -- Set while a worker has it; still set when it is claimed again: that worker died of it, or with it.
  claimed_at timestamptz,
  crashes integer not null default 0,
  error text,
  body bytea not null,
  headers json,
  unique (inbox, source, epoch, aggregate, subject, sequence, event_id)
);
-- The same unreadable message is kept once, however often it comes.
create unique index parked_events_unreadable on messaging.parked_events (inbox, md5(body)) where event_id is null;
create index parked_events_page on messaging.parked_events (inbox, source, epoch, aggregate, page);
create index parked_events_due on messaging.parked_events (inbox, due_at) where state <> 'dead';
create index parked_events_dead on messaging.parked_events (inbox, parked_at) where state = 'dead';
