-- What the services of the fault suite keep. One file for all of them; each uses its part.

-- The producer: each command once, whatever the client repeats.
create table commands (
  id text primary key,
  account_id text not null,
  done_at timestamptz not null default now()
);

-- Written by commands and by reactions alike.
create table accounts (
  id text primary key,
  balance bigint not null default 0,
  version bigint not null default 0,
  receipts bigint not null default 0
);

-- What reactions did. WITHOUT a unique key on purpose: it must be able to show a duplicate.
create table effects (
  seq bigserial primary key,
  consumer text not null,
  reaction text not null,
  event_id text not null,
  type text not null,
  source text not null,
  epoch text,
  aggregate text not null,
  subject text not null,
  sequence bigint,
  position bigint,
  at timestamptz not null default clock_timestamp()
);
create index effects_progress on effects (source, position);

-- Rows that many streams share, read, modified and written by reactions.
create table totals (
  bucket text primary key,
  amount bigint not null,
  events bigint not null
);

-- Misbehaviour that somebody has repaired.
create table repaired (flag text primary key);
