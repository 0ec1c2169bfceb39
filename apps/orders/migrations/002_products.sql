-- What is for sale, at what price, and how much of it there is.
create table products (
  sku text primary key,
  name text not null,
  price_minor bigint not null check (price_minor > 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  on_hand integer not null default 0,
  -- Of it, promised to orders that are not paid for yet.
  reserved integer not null default 0 check (reserved >= 0),
  -- Counts the changes of this row.
  version integer not null default 1,
  constraint products_available check (on_hand - reserved >= 0)
);
