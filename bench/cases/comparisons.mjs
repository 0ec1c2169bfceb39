// What is compared with what, and the target. A figure is named `measure.figure`.

/** @typedef {import('../harness/measure.mjs').Case} Case */
/** @typedef {import('../harness/measure.mjs').Row} Row */

const EVENTS = 'events/s';

/**
 * @param {string} label
 * @param {string} unit
 * @param {[ours: string, peer?: string]} figures
 * @param {Pick<Row, 'atLeast' | 'atMost' | 'max'>} [target]
 * @returns {Row}
 */
const row = (label, unit, [ours, peer], target) => ({ label, unit, ours, peer, ...target });

/** Also in a quick run. @type {typeof row} */
const main = (...all) => ({ ...row(...all), quick: true });

/** @type {readonly Case[]} */
export const cases = [
  {
    name: 'drain',
    title: 'Draining a backlog into another service, exactly once and in order, with `handleMany`',
    rows: [
      main('1 event per stream, against stock', EVENTS, ['many-1.rate', 'stock.rate'], { atLeast: 12 }),
      row('10 events per stream, against stock', EVENTS, ['many-10.rate', 'stock.rate'], { atLeast: 12 }),
      row('100 events per stream, against stock', EVENTS, ['many-100.rate', 'stock.rate'], { atLeast: 12 }),
      row('1 event per stream, against golevelup', EVENTS, ['many-1.rate', 'golevelup.rate']),
      main('1 event per stream, against Postgres writing the same rows', EVENTS, ['many-1.rate', 'limit.rate'], {
        atLeast: 0.7,
      }),
      main('processor time per event, against stock', 'µs', ['many-1.cpu', 'stock.cpu']),
    ],
  },
  {
    name: 'ordinary',
    title: 'The same with ordinary reactions, one statement for one event, that touch only their own stream',
    rows: [
      main('against stock', EVENTS, ['one.rate', 'stock.rate'], { atLeast: 6 }),
      row('against golevelup', EVENTS, ['one.rate', 'golevelup.rate']),
      main('processor time per event, against stock', 'µs', ['one.cpu', 'stock.cpu']),
    ],
  },
  {
    name: 'shared',
    title: 'Ordinary reactions that read, modify and write a row that streams share, with correct sums',
    rows: [
      main('100 rows, keys declared, against stock', EVENTS, ['shared-100.rate', 'stock-shared-100.rate'], {
        atLeast: 4,
      }),
      row('10 000 rows, keys declared, against stock', EVENTS, ['shared-10000.rate', 'stock-shared-10000.rate'], {
        atLeast: 4,
      }),
      main('100 rows, nothing declared, against stock', EVENTS, ['undeclared.rate', 'stock-shared-100.rate'], {
        atLeast: 1.2,
      }),
      main('processor time per event, 100 rows declared', 'µs', ['shared-100.cpu', 'stock-shared-100.cpu']),
    ],
  },
  {
    name: 'steady',
    title:
      '64 commands at a time, each recording one event that is relayed and applied meanwhile; nothing is left behind',
    rows: [
      main('against stock', 'commands/s', ['steady.commands', 'stock-steady.commands'], { atLeast: 1.1 }),
      row('against golevelup', 'commands/s', ['steady.commands', 'golevelup-steady.commands']),
      main('until the last was applied', 'ms', ['steady.catchUpMs', 'stock-steady.catchUpMs']),
    ],
  },
  {
    name: 'requests',
    title: '`POST /users`, 64 connections, against the same endpoint doing a bare insert and telling nobody',
    rows: [
      main('requests', 'requests/s', ['post-users.perSecond', 'post-bare.perSecond'], { atLeast: 0.6 }),
      main('p99', 'ms', ['post-users.p99', 'post-bare.p99'], { atMost: 2 }),
    ],
  },
  {
    name: 'disturbed',
    title: '`POST /users` while others are in trouble, against itself undisturbed',
    rows: [
      row('RabbitMQ is stopped', 'requests/s', ['disturbed.stopped', 'disturbed.undisturbed'], { atLeast: 0.9 }),
      row('1 000 000 events wait in the outbox as well', 'requests/s', ['disturbed.waiting', 'disturbed.undisturbed'], {
        atLeast: 0.9,
      }),
    ],
  },
  {
    name: 'latency',
    title: 'From the commit of a command to the commit of its effect, 200 commands/s',
    rows: [
      main('p50, against stock', 'ms', ['latency.p50', 'stock-latency.p50'], { atMost: 2 }),
      main('p99, against stock', 'ms', ['latency.p99', 'stock-latency.p99'], { atMost: 2 }),
      row('p50, against golevelup', 'ms', ['latency.p50', 'golevelup-latency.p50']),
      row('p99, against golevelup', 'ms', ['latency.p99', 'golevelup-latency.p99']),
    ],
  },
  {
    name: 'registration',
    title: 'From the 2xx of `POST /users` to `GET /customers/:id` in the other service, on an idle system',
    rows: [main('p50', 'ms', ['registration.p50'], { max: 20 }), main('p99', 'ms', ['registration.p99'], { max: 100 })],
  },
  {
    name: 'memory',
    title: 'Memory of the processes while 1 000 000 events drain',
    rows: [
      row('relay, at most', 'MB', ['backlog.relayPeak'], { max: 250 }),
      row('inbox, at most', 'MB', ['backlog.inboxPeak'], { max: 250 }),
      row('relay, last fifth ÷ second fifth', '×', ['backlog.relayGrowth'], { max: 1.15 }),
      row('inbox, last fifth ÷ second fifth', '×', ['backlog.inboxGrowth'], { max: 1.15 }),
    ],
  },
  {
    name: 'growth',
    title: 'Cost as the work grows, against a tenth of it',
    rows: [
      row('100 000 events, against 10 000', EVENTS, ['backlog.rateMiddle', 'backlog.rateSmall'], { atLeast: 0.85 }),
      row('1 000 000 events, against 100 000', EVENTS, ['backlog.rateLarge', 'backlog.rateMiddle'], { atLeast: 0.85 }),
      row('10 000 streams, against 1 000', EVENTS, ['streams.rate10000', 'streams.rate1000'], { atLeast: 0.85 }),
      row('100 000 streams, against 10 000', EVENTS, ['streams.rate100000', 'streams.rate10000'], { atLeast: 0.85 }),
      row('1 000 000 streams, against 100 000', EVENTS, ['streams.rate1000000', 'streams.rate100000'], {
        atLeast: 0.85,
      }),
      row('applied by 5 services in all, against 1', EVENTS, ['subscribers-5.rate', 'subscribers-1.rate'], {
        atLeast: 0.85,
      }),
    ],
  },
  {
    name: 'catch-up',
    title:
      'A new inbox takes 500 000 events of history beside 500 live commands/s; the live latency, against without it',
    rows: [
      row('live p50', 'ms', ['catch-up.besideP50', 'catch-up.aloneP50']),
      row('live p99', 'ms', ['catch-up.besideP99', 'catch-up.aloneP99'], { atMost: 2 }),
      row('history applied', EVENTS, ['catch-up.pulled']),
    ],
  },
  {
    name: 'hot',
    title: 'One hot stream, against one client that writes the same rows, one awaited statement after the other',
    rows: [
      row(
        'commands of one aggregate, relayed and applied meanwhile',
        EVENTS,
        ['hot-commands.rate', 'one-client.rate'],
        { atLeast: 0.8 },
      ),
      row('ordinary reactions to one stream', EVENTS, ['hot-drain.rate', 'one-client-reaction.rate'], { atLeast: 0.8 }),
    ],
  },
  {
    name: 'start',
    title: 'The second `npm start`',
    rows: [row('until both services are ready', 's', ['start.seconds'], { max: 10 })],
  },
];
