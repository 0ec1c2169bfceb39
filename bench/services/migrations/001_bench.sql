-- What the services of the benchmark keep; the peers have the same tables.

-- Written by commands.
create table items (
  seq bigint generated always as identity primary key,
  item_id uuid not null,
  version integer not null,
  bucket integer not null,
  amount integer not null,
  note text not null
);

-- The projection. WITHOUT a unique key on purpose: it must be able to show a duplicate.
create table entries (
  seq bigint generated always as identity primary key,
  item_id uuid not null,
  version integer not null,
  amount integer not null,
  note text not null
);

-- Rows that streams share, read, modified and written by reactions.
create table totals (
  bucket integer primary key,
  amount bigint not null,
  events bigint not null
);
