-- One shipment for each confirmed order.
create table shipments (
  order_id uuid primary key,
  user_id uuid not null,
  prepared_at timestamptz not null default now()
);
