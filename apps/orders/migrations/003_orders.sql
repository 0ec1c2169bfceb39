create table orders (
  id uuid primary key,
  user_id uuid not null references customers,
  status text not null check (status in ('awaiting-customer', 'awaiting-payment', 'confirmed', 'cancelled')),
  currency text not null,
  -- Σ lines − discount = total.
  discount_minor bigint not null check (discount_minor >= 0),
  total_minor bigint not null check (total_minor > 0),
  -- Until when it may stay open.
  due_at timestamptz,
  check ((due_at is not null) = (status like 'awaiting-%'))
);
create index orders_of_user on orders (user_id, id);
create index orders_by_status on orders (status, id);
create index orders_open on orders (due_at) where due_at is not null;

create table order_lines (
  order_id uuid not null references orders,
  line integer not null,
  sku text not null references products,
  quantity integer not null check (quantity > 0),
  -- As quoted when it was ordered.
  unit_price_minor bigint not null check (unit_price_minor > 0),
  primary key (order_id, line),
  unique (order_id, sku)
);

-- Every state an order has been in.
create table order_history (
  order_id uuid not null references orders,
  id bigint generated always as identity,
  status text not null,
  at timestamptz not null default now(),
  reason text,
  primary key (order_id, id)
);
