create table users (
  id uuid primary key,
  name text not null,
  email text not null,
  registered_at timestamptz not null default now()
);
-- The e-mail address is taken whatever its case.
create unique index users_email on users (lower(email));
