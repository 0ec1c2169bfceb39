create table payments (
  id uuid primary key,
  order_id uuid not null unique references orders,
  status text not null default 'pending' check (status in ('pending', 'completed', 'failed', 'refunding', 'refunded')),
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null,
  provider text not null,
  -- The provider's own name of it.
  provider_reference text,
  -- Why it failed, or is given back.
  reason text,
  refund_id uuid unique check ((refund_id is not null) = (status in ('refunding', 'refunded'))),
  -- Why nothing more happens to it until somebody has looked: what the provider says contradicts what we know.
  held text
);
create index payments_held on payments (id) where held is not null;

-- Calls to the provider that are to be made. A row is gone when the provider has accepted.
create table payment_requests (
  -- The Idempotency-Key: id of the payment, or of its refund.
  id uuid primary key,
  payment_id uuid not null references payments,
  kind text not null check (kind in ('charge', 'refund')),
  attempts integer not null default 0,
  -- A worker that calls moves it ahead, so that nobody else does meanwhile, and somebody does if the worker dies.
  due_at timestamptz not null default now(),
  requested_at timestamptz not null default now(),
  error text
);
create index payment_requests_due on payment_requests (due_at);
create index payment_requests_of_payment on payment_requests (payment_id);

-- Webhooks that were taken in; each counts once.
create table payment_webhooks (
  id text primary key,
  received_at timestamptz not null default now()
);
