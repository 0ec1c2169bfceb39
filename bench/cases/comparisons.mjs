// What is compared with what, and the target. A figure is named `measure.figure`.

/** @typedef {import('../harness/measure.mjs').Case} Case */

const EVENTS = 'events/s';

/** @type {readonly Case[]} */
export const cases = [
  {
    name: 'drain',
    quick: true,
    title: 'Draining a backlog into another service, exactly once and in order, with `handleMany`',
    rows: [
      {
        label: '1 event per stream, against stock',
        unit: EVENTS,
        ours: 'many-1.rate',
        peer: 'stock.rate',
        atLeast: 12,
        quick: true,
      },
      {
        label: '10 events per stream, against stock',
        unit: EVENTS,
        ours: 'many-10.rate',
        peer: 'stock.rate',
        atLeast: 12,
      },
      {
        label: '100 events per stream, against stock',
        unit: EVENTS,
        ours: 'many-100.rate',
        peer: 'stock.rate',
        atLeast: 12,
      },
      { label: '1 event per stream, against golevelup', unit: EVENTS, ours: 'many-1.rate', peer: 'golevelup.rate' },
      {
        label: '1 event per stream, against Postgres writing the same rows',
        unit: EVENTS,
        ours: 'many-1.rate',
        peer: 'limit.rate',
        atLeast: 0.7,
        quick: true,
      },
      {
        label: 'processor time per event, against stock',
        unit: 'µs',
        ours: 'many-1.cpu',
        peer: 'stock.cpu',
        quick: true,
      },
    ],
  },
  {
    name: 'ordinary',
    quick: true,
    title: 'The same with ordinary reactions, one statement for one event, that touch only their own stream',
    rows: [
      { label: 'against stock', unit: EVENTS, ours: 'one.rate', peer: 'stock.rate', atLeast: 6, quick: true },
      { label: 'against golevelup', unit: EVENTS, ours: 'one.rate', peer: 'golevelup.rate' },
      { label: 'processor time per event, against stock', unit: 'µs', ours: 'one.cpu', peer: 'stock.cpu', quick: true },
    ],
  },
  {
    name: 'shared',
    quick: true,
    title: 'Ordinary reactions that read, modify and write a row that streams share, with correct sums',
    rows: [
      {
        label: '100 rows, keys declared, against stock',
        unit: EVENTS,
        ours: 'shared-100.rate',
        peer: 'stock-shared-100.rate',
        atLeast: 4,
        quick: true,
      },
      {
        label: '10 000 rows, keys declared, against stock',
        unit: EVENTS,
        ours: 'shared-10000.rate',
        peer: 'stock-shared-10000.rate',
        atLeast: 4,
      },
      {
        label: '100 rows, nothing declared, against stock',
        unit: EVENTS,
        ours: 'undeclared.rate',
        peer: 'stock-shared-100.rate',
        atLeast: 1.2,
        quick: true,
      },
      {
        label: 'processor time per event, 100 rows declared',
        unit: 'µs',
        ours: 'shared-100.cpu',
        peer: 'stock-shared-100.cpu',
        quick: true,
      },
    ],
  },
  {
    name: 'steady',
    quick: true,
    title:
      '64 commands at a time, each recording one event that is relayed and applied meanwhile; nothing is left behind',
    rows: [
      {
        label: 'against stock',
        unit: 'commands/s',
        ours: 'steady.commands',
        peer: 'stock-steady.commands',
        atLeast: 1.1,
        quick: true,
      },
      { label: 'against golevelup', unit: 'commands/s', ours: 'steady.commands', peer: 'golevelup-steady.commands' },
      {
        label: 'until the last was applied',
        unit: 'ms',
        ours: 'steady.catchUpMs',
        peer: 'stock-steady.catchUpMs',
        quick: true,
      },
    ],
  },
  {
    name: 'requests',
    quick: true,
    title: '`POST /users`, 64 connections, against the same endpoint doing a bare insert and telling nobody',
    rows: [
      {
        label: 'requests',
        unit: 'requests/s',
        ours: 'post-users.perSecond',
        peer: 'post-bare.perSecond',
        atLeast: 0.6,
        quick: true,
      },
      { label: 'p99', unit: 'ms', ours: 'post-users.p99', peer: 'post-bare.p99', atMost: 2, quick: true },
    ],
  },
  {
    name: 'disturbed',
    title: '`POST /users` while others are in trouble, against itself undisturbed',
    rows: [
      {
        label: 'RabbitMQ is stopped',
        unit: 'requests/s',
        ours: 'disturbed.stopped',
        peer: 'disturbed.undisturbed',
        atLeast: 0.9,
      },
      {
        label: '1 000 000 events wait in the outbox as well',
        unit: 'requests/s',
        ours: 'disturbed.waiting',
        peer: 'disturbed.undisturbed',
        atLeast: 0.9,
      },
    ],
  },
  {
    name: 'latency',
    quick: true,
    title: 'From the commit of a command to the commit of its effect, 200 commands/s',
    rows: [
      {
        label: 'p50, against stock',
        unit: 'ms',
        ours: 'latency.p50',
        peer: 'stock-latency.p50',
        atMost: 2,
        quick: true,
      },
      {
        label: 'p99, against stock',
        unit: 'ms',
        ours: 'latency.p99',
        peer: 'stock-latency.p99',
        atMost: 2,
        quick: true,
      },
      { label: 'p50, against golevelup', unit: 'ms', ours: 'latency.p50', peer: 'golevelup-latency.p50' },
      { label: 'p99, against golevelup', unit: 'ms', ours: 'latency.p99', peer: 'golevelup-latency.p99' },
    ],
  },
  {
    name: 'registration',
    quick: true,
    title: 'From the 2xx of `POST /users` to `GET /customers/:id` in the other service, on an idle system',
    rows: [
      { label: 'p50', unit: 'ms', ours: 'registration.p50', max: 20, quick: true },
      { label: 'p99', unit: 'ms', ours: 'registration.p99', max: 100, quick: true },
    ],
  },
  {
    name: 'memory',
    title: 'Memory of the processes while 1 000 000 events drain',
    rows: [
      { label: 'relay, at most', unit: 'MB', ours: 'backlog.relayPeak', max: 250 },
      { label: 'inbox, at most', unit: 'MB', ours: 'backlog.inboxPeak', max: 250 },
      { label: 'relay, last fifth ÷ second fifth', unit: '×', ours: 'backlog.relayGrowth', max: 1.15 },
      { label: 'inbox, last fifth ÷ second fifth', unit: '×', ours: 'backlog.inboxGrowth', max: 1.15 },
    ],
  },
  {
    name: 'growth',
    title: 'Cost as the work grows, against a tenth of it',
    rows: [
      {
        label: '100 000 events, against 10 000',
        unit: EVENTS,
        ours: 'backlog.rateMiddle',
        peer: 'backlog.rateSmall',
        atLeast: 0.85,
      },
      {
        label: '1 000 000 events, against 100 000',
        unit: EVENTS,
        ours: 'backlog.rateLarge',
        peer: 'backlog.rateMiddle',
        atLeast: 0.85,
      },
      {
        label: '10 000 streams, against 1 000',
        unit: EVENTS,
        ours: 'streams.rate10000',
        peer: 'streams.rate1000',
        atLeast: 0.85,
      },
      {
        label: '100 000 streams, against 10 000',
        unit: EVENTS,
        ours: 'streams.rate100000',
        peer: 'streams.rate10000',
        atLeast: 0.85,
      },
      {
        label: '1 000 000 streams, against 100 000',
        unit: EVENTS,
        ours: 'streams.rate1000000',
        peer: 'streams.rate100000',
        atLeast: 0.85,
      },
      {
        label: 'applied by 5 services in all, against 1',
        unit: EVENTS,
        ours: 'subscribers-5.rate',
        peer: 'subscribers-1.rate',
        atLeast: 0.85,
      },
    ],
  },
  {
    name: 'catch-up',
    title:
      'A new inbox takes 500 000 events of history beside 500 live commands/s; the live latency, against without it',
    rows: [
      { label: 'live p50', unit: 'ms', ours: 'catch-up.besideP50', peer: 'catch-up.aloneP50' },
      { label: 'live p99', unit: 'ms', ours: 'catch-up.besideP99', peer: 'catch-up.aloneP99', atMost: 2 },
      { label: 'history applied', unit: EVENTS, ours: 'catch-up.pulled' },
    ],
  },
  {
    name: 'hot',
    title: 'One hot stream, against one client that writes the same rows, one awaited statement after the other',
    rows: [
      {
        label: 'commands of one aggregate, relayed and applied meanwhile',
        unit: EVENTS,
        ours: 'hot-commands.rate',
        peer: 'one-client.rate',
        atLeast: 0.8,
      },
      {
        label: 'ordinary reactions to one stream',
        unit: EVENTS,
        ours: 'hot-drain.rate',
        peer: 'one-client-reaction.rate',
        atLeast: 0.8,
      },
    ],
  },
  {
    name: 'start',
    title: 'The second `npm start`',
    rows: [{ label: 'until both services are ready', unit: 's', ours: 'start.seconds', max: 10 }],
  },
];
