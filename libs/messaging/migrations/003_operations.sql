-- What operators do and what they have stopped.

-- Written in the transaction of the action itself: an action without a line here did not happen.
create table messaging.audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  who text not null,
  action text not null,
  parameters json not null,
  affected integer not null,
  reason text
);

-- What is paused: 'relay', 'inbox:<name>' or 'reaction:<ClassName>'.
create table messaging.pauses (
  scope text primary key,
  reason text not null,
  by text not null,
  since timestamptz not null default now()
);

-- Somebody has decided that this life of a log is over: nothing of it is applied any more, and it is not reported.
alter table messaging.inbox_holds add column closed_at timestamptz;

-- For counting by state without reading the events.
create index parked_events_state on messaging.parked_events (state, parked_at);
