-- Since when a refund is under way: a provider that never reports it must not go unnoticed.
alter table payments add column refunding_since timestamptz;
create index payments_refunding on payments (refunding_since) where status = 'refunding';
