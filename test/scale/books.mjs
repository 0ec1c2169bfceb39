// What a look at the books costs when nothing is missing, and how long it takes to find what is.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from './main.mjs';
import { forget, OWNER, statementsOf, SUBSCRIBER, table, those, total } from './statements.mjs';

/** @typedef {import('./system.mjs').System} System */

const LOOKS_MS = 75_000;
const PROMISED_MS = 20;

/** @param {System} system @param {string} usersUrl */
export async function measureBooks(system, usersUrl) {
  await forget(system);
  const ids = await trickle(usersUrl, LOOKS_MS);
  await untilHeard(system, ids.length, 20_000);
  const owners = those(await statementsOf(system, 'users'), OWNER);
  const subscribers = those(await statementsOf(system, 'orders'), SUBSCRIBER);
  // Only orders asks users; all that it spends on accounts is charged to these looks, its own ones included.
  const looks = owners.find(({ query }) => query.includes('messaging.epochs'))?.calls ?? 0;
  const [owner, subscriber] = [total(owners) / looks, total(subscribers) / looks];
  console.log(`\n${looks} looks of orders at the log of users, under a trickle of ${ids.length} registrations`);
  console.log(`in the database of the owner:\n${table(owners)}`);
  console.log(`in the database of the subscriber:\n${table(subscribers)}`);
  expect(looks >= 4, `the books were looked at ${looks} times`);
  expect(
    owner + subscriber <= PROMISED_MS,
    `a look takes ${owner.toFixed(1)} + ${subscriber.toFixed(1)} ms of database time (at most ${PROMISED_MS})`,
  );
  await measureHealing(system, usersUrl, ids.length);
}

/** @param {System} system @param {string} usersUrl @param {number} heard */
async function measureHealing(system, usersUrl, heard) {
  await forget(system);
  await unbind(system);
  const { length: lost } = await trickle(usersUrl, 2_000);
  const started = performance.now();
  await untilHeard(system, heard + lost, 120_000);
  const seconds = (performance.now() - started) / 1000;
  const replay = those(await statementsOf(system, 'users'), /from messaging\.events e where position >/);
  console.log(`\nstatements that brought them:\n${table(replay)}`);
  expect(
    replay.length > 0,
    `events that were lost at the broker are found and pulled after ${seconds.toFixed(0)} s (at most 120)`,
  );
}

/** Nobody hears users any more, until orders notices. @param {System} system */
async function unbind({ rabbitmq: { managementUrl, user, password } }) {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const key = 'users.user.%23';
  const binding = `${managementUrl}/api/bindings/%2F/e/users.events/q/orders.inbox/${key}`;
  const response = await fetch(binding, { method: 'DELETE', headers: { authorization } });
  if (!response.ok) throw new Error(`cannot unbind: ${response.status} ${await response.text()}`);
}

/** Registers ten users a second. @param {string} url @param {number} ms */
async function trickle(url, ms) {
  const ids = [];
  for (const until = performance.now() + ms; performance.now() < until; await sleep(95)) {
    const response = await fetch(`${url}/users`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Ann', email: `${crypto.randomUUID()}@example.com` }),
    });
    if (response.status !== 201) throw new Error(`POST /users: ${response.status} ${await response.text()}`);
    ids.push(/** @type {{ id: string }} */ (await response.json()).id);
  }
  return ids;
}

/** @param {System} system @param {number} count @param {number} ms */
async function untilHeard(system, count, ms) {
  for (const until = performance.now() + ms; ; await sleep(250)) {
    const [{ n }] = await system.rows('orders', 'select count(*)::int as n from customers');
    if (n >= count) return;
    if (performance.now() > until) throw new Error(`orders has heard of ${n} of ${count} users`);
  }
}
