-- What a service needs to answer HTTP.
create schema http;

-- Answers to requests with an `Idempotency-Key`, stored in the transaction of the command: the same request gets the same
-- answer for 24 hours. A command that failed leaves no row.
create table http.idempotency_keys (
  -- Method and path as routed, such as `POST /users`: clients need not keep their keys apart.
  route text not null,
  key text not null,
  -- SHA-256 of the parameters and the body.
  request bytea not null,
  status smallint not null,
  location text,
  body json,
  answered_at timestamptz not null default now(),
  primary key (route, key)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
create index idempotency_keys_answered_at on http.idempotency_keys (answered_at);
