// The commands of a scenario: several types, at least some 20 events per stream, half of them spread evenly, half by Zipf's
// law with one hot stream. The same seed gives the same commands.
import { randomFrom } from './random.mjs';

/** @typedef {import('./types.js').PlannedCommand} PlannedCommand */
/** @typedef {import('./types.js').PlannedEvent} PlannedEvent */
/** @typedef {import('./types.js').LoadOptions} LoadOptions */

const NAMES = [
  ...Array(6).fill('account.credited'),
  ...Array(3).fill('account.debited'),
  ...Array(3).fill('account.noted'),
  ...Array(4).fill('ticket.raised'),
  ...Array(4).fill('ticket.closed'),
];
/** Half of them are spread evenly, so that the coldest account still has some 30 events and its ticket about 20. */
const EVENTS_PER_ACCOUNT = 110;

/**
 * @param {{ seed: string, events: number } & LoadOptions} options
 * @returns {PlannedCommand[]}
 */
export function planLoad({ seed, events: asked, times = 1, ...options }) {
  const {
    slow = 2,
    late = 0,
    perCommand = 3,
    rolledBack = 0.02,
    oversized = 0,
    timers = 0,
    padded = {},
    more = [],
    flags = {},
  } = options;
  const names = [...NAMES, ...more.flatMap((name) => [name, name])];
  const events = asked * times;
  const random = randomFrom(seed);
  const accounts = Math.max(4, Math.round(events / EVENTS_PER_ACCOUNT));
  const zipf = zipfOf(accounts, random);
  /** @type {PlannedCommand[]} */
  const plan = [];
  for (let planned = 0, n = 0; planned < events; n++) {
    const account = n % 2 === 0 ? (n / 2) % accounts : zipf();
    const count = Math.min(1 + random.below(perCommand), events - planned);
    planned += count;
    /** @type {PlannedCommand} */
    const command = {
      id: '',
      accountId: `a${account}`,
      events: Array.from({ length: count }, () => event(random, names)),
    };
    if (random.next() < 0.005) command.mode = 'swallow';
    if (random.next() < late) command.pauseMs = random.below(2_000);
    const isPlain = !command.mode && command.pauseMs === undefined;
    if (isPlain && random.next() < 0.4) command.mode = 'write-only';
    plan.push(command);
    if (random.next() < rolledBack) {
      plan.push({ id: '', accountId: `a${account}`, events: [event(random, names)], mode: 'roll-back' });
    }
  }
  for (let n = 0; n < oversized; n++) {
    const large = { ...event(random, names), paddingBytes: 300_000 };
    plan.push({ id: '', accountId: `a${random.below(accounts)}`, events: [event(random, names), large] });
  }
  // Of a few hundred commands, chance may choose none, and nobody would notice that an answer to COMMIT is ignored.
  const writeOnly = plan.find(({ mode }) => mode === 'write-only');
  if (writeOnly && !plan.some(({ mode }) => mode === 'swallow')) writeOnly.mode = 'swallow';
  random.shuffle(plan);
  for (const { mode, events } of plan) {
    const last = events.at(-1);
    if (last && !mode && random.next() < timers) last.afterMs = 1_000 + random.below(4_000);
  }
  for (const [bytes, count] of Object.entries(padded)) padSome(plan, random, Number(bytes), count);
  flagSome(
    plan,
    Array.from({ length: slow }, (_, i) => ((i + 1) * 100) / (slow + 1)),
    'slow',
  );
  for (const [flag, places] of Object.entries(flags)) flagSome(plan, places, flag);
  plan.forEach((command, n) => (command.id = `c${n}`));
  return plan;
}

/** @param {import('./random.mjs').Random} random @param {readonly string[]} names */
const event = (random, names) => ({ name: random.pick(names), amount: 1 + random.below(100) });

/** @param {number} count @param {import('./random.mjs').Random} random */
function zipfOf(count, random) {
  const weights = Array.from({ length: count }, (_, rank) => 1 / (rank + 1) ** 1.1);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return () => {
    let rest = random.next() * total;
    return Math.max(
      0,
      weights.findIndex((weight) => (rest -= weight) < 0),
    );
  };
}

/**
 * Makes events of different accounts so much larger: one that is set aside holds its stream, and whatever is behind it.
 * @param {PlannedCommand[]} plan
 * @param {import('./random.mjs').Random} random
 * @param {number} bytes
 * @param {number} count
 */
function padSome(plan, random, bytes, count) {
  /** @type {Set<string>} */
  const accounts = new Set();
  for (let n = 0; n < count; n++) {
    const plain = plan.filter(({ mode, events }) => !mode && !events[0]?.paddingBytes);
    const others = plain.filter(({ accountId }) => !accounts.has(accountId));
    const { accountId, events } = random.pick(others.length > 0 ? others : plain);
    accounts.add(accountId);
    /** @type {PlannedEvent} */ (events[0]).paddingBytes = bytes;
  }
}

/**
 * Events of different accounts: behind one that fails, another one would not have its turn.
 * @param {PlannedCommand[]} plan
 * @param {number[]} places in percent of the plan
 * @param {string} flag
 */
function flagSome(plan, places, flag) {
  /** @type {Set<string>} */
  const accounts = new Set();
  for (const place of places) {
    const from = Math.floor((plan.length * place) / 100);
    const plain = plan.slice(from).filter(({ mode, events }) => !mode && events.every((e) => !e.flag));
    const command = plain.find(({ accountId }) => !accounts.has(accountId)) ?? plain[0];
    if (!command?.events[0]) continue;
    accounts.add(command.accountId);
    command.events[0].flag = flag;
  }
}
