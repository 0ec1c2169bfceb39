import fc from 'fast-check';
import { consequenceOf, type Payment, type PaymentStatus, type Report } from './payment.js';

const STATUSES: PaymentStatus[] = ['pending', 'completed', 'failed', 'refunding', 'refunded'];
const payment = (status: PaymentStatus, held: string | null = null): Payment => ({
  ...{ status, held },
  ...{ amountMinor: 2_375, currency: 'EUR' },
});
const report = (outcome: Report['outcome'], change: Partial<Report> = {}): Report => ({
  ...{ outcome, amountMinor: 2_375, currency: 'EUR' },
  ...change,
});

describe('what follows when the provider reports a payment as', () => {
  it.each<[Report['outcome'], PaymentStatus, string]>([
    ['completed', 'pending', 'complete'],
    ['completed', 'completed', 'nothing'],
    ['completed', 'failed', 'hold'],
    ['completed', 'refunding', 'nothing'],
    ['completed', 'refunded', 'nothing'],
    ['failed', 'pending', 'fail'],
    ['failed', 'completed', 'nothing'],
    ['failed', 'failed', 'nothing'],
    ['failed', 'refunding', 'nothing'],
    ['failed', 'refunded', 'nothing'],
    ['refunded', 'pending', 'hold'],
    ['refunded', 'completed', 'hold'],
    ['refunded', 'failed', 'hold'],
    ['refunded', 'refunding', 'finish-refund'],
    ['refunded', 'refunded', 'nothing'],
  ])('%s while it is %s: %s', (outcome, status, kind) => {
    expect(consequenceOf(report(outcome), payment(status))).toMatchObject({ kind });
  });

  it.each([{ amountMinor: 2_376 }, { amountMinor: 0 }, { currency: 'USD' }])(
    'completed with %j instead: it is held, and both are named',
    (change) => {
      const said = report('completed', change);
      expect(consequenceOf(said, payment('pending'))).toEqual({
        kind: 'hold',
        why: `reported as completed with ${said.amountMinor} ${said.currency} instead of 2375 EUR (minor units)`,
      });
    },
  );

  it('anything while it is held: nothing', () => {
    for (const outcome of ['completed', 'failed', 'refunded'] as const) {
      for (const status of STATUSES) {
        expect(consequenceOf(report(outcome), payment(status, 'why'))).toEqual({ kind: 'nothing' });
      }
    }
  });
});

it('a payment has one outcome, however often and in whatever order things are reported', () => {
  const next: Record<string, PaymentStatus> = { complete: 'completed', fail: 'failed', 'finish-refund': 'refunded' };
  const reports = fc.array(fc.constantFrom<Report['outcome']>('completed', 'failed', 'refunded'), { maxLength: 20 });
  fc.assert(
    fc.property(reports, (outcomes) => {
      let now = payment('pending');
      const happened: string[] = [];
      for (const outcome of outcomes) {
        const consequence = consequenceOf(report(outcome), now);
        if (consequence.kind === 'hold') now = { ...now, held: consequence.why };
        else if (consequence.kind !== 'nothing') {
          happened.push(consequence.kind);
          now = { ...now, status: next[consequence.kind]! };
        }
      }
      expect(happened.length).toBeLessThanOrEqual(1); // nothing is refunded unasked
      const first = outcomes[0];
      if (first === 'completed' || first === 'failed') expect(now.status).toBe(first);
    }),
  );
});
