-- What this service knows of the users, fed by their events: it works while `users` is away.
create table customers (
  user_id uuid primary key,
  -- unknown: somebody has ordered in this name before the registration was heard of.
  status text not null check (status in ('unknown', 'active', 'deactivated')),
  name text,
  email text,
  tier text not null default 'standard' check (tier in ('standard', 'silver', 'gold')),
  known_since timestamptz,
  check (status = 'unknown' or (name is not null and email is not null and known_since is not null))
);
