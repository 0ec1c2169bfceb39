-- Which webhooks are so old that no provider repeats them any more.
create index payment_webhooks_received on payment_webhooks (received_at);
