import { eventually } from '@app/testing';
import { startOutbox } from './outbox.fixture.js';
const say = (t: string) => process.stderr.write(`BENCH ${t}\n`);
it('held', async () => {
  const o = await startOutbox();
  try {
  for (const analyze of [false, true]) {
  await o.rows('truncate messaging.outbox, messaging.unpublishable');
  const subjects = await o.fill(200_000, 5_000);
  if (analyze) { await o.rows('analyze messaging.outbox'); await o.rows('analyze messaging.events'); }
  const relay = o.relay();
  await o.rows("with gone as (delete from messaging.outbox where position = (select min(position) + 9 from messaging.outbox) returning position) insert into messaging.unpublishable (position, error) select position, 'x' from gone");
  const t = performance.now();
  relay.start();
  await eventually(async () => expect(relay.status.published).toBeGreaterThan(199_900), { timeoutMs: 60_000 });
  say(`around held: analyzed ${analyze} ${Math.round(200_000 / (performance.now() - t) * 1000)}/s, left ${await o.pending()}`);
  await eventually(() => expect(relay.status.inFlight).toBe(0));
  say(`left ${await o.pending()}`);
  await relay.stop();
  }
  } finally { await o.stop(); }
}, 200_000);
