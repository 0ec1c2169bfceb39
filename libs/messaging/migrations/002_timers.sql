-- Events that will be recorded at a later time. A row is gone once its event is in the log.
create table messaging.timers (
  id uuid primary key,
  -- Names the timer for whoever cancels or replaces it.
  key text unique,
  due_at timestamptz not null,
  type text not null,
  aggregate text not null,
  subject text not null,
  correlation_id text not null,
  causation_id text,
  traceparent text,
  data json not null,
  set_at timestamptz not null default now(),
  -- Why its event cannot be recorded: the timer is set aside, until the next start of the service or an operator.
  error text
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index timers_due on messaging.timers (due_at, id) where error is null;
create index timers_failed on messaging.timers (due_at) where error is not null;
