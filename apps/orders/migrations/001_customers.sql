-- What this service knows of the users, fed by their events: it works while `users` is away.
create table customers (
  user_id uuid primary key,
  name text not null,
  email text not null,
  known_since timestamptz not null default now()
);
