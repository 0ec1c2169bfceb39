create table users (
  id uuid primary key,
  name text not null,
  email text not null,
  status text not null default 'active' check (status in ('active', 'deactivated')),
  -- The membership: points are collected with confirmed orders and never lost.
  points integer not null default 0 check (points >= 0),
  tier text not null default 'standard' check (tier in ('standard', 'silver', 'gold')),
  -- Counts the changes of everything above; the ETag of GET /users/:id.
  version integer not null default 1,
  registered_at timestamptz not null default now()
);
-- The e-mail address is taken whatever its case, and stays taken when the account is closed.
create unique index users_email on users (lower(email));
