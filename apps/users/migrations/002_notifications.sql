-- What happened to a user's orders, as the user reads it.
create table notifications (
  id bigint generated always as identity primary key,
  user_id uuid not null references users,
  order_id uuid not null,
  kind text not null,
  text text not null,
  at timestamptz not null default now()
);
create index notifications_of_user on notifications (user_id, id);
