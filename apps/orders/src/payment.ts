// Rules of a payment: pending → completed | failed, completed → refunding → refunded. The first outcome wins.

export type PaymentStatus = 'pending' | 'completed' | 'failed' | 'refunding' | 'refunded';

export interface Payment {
  status: PaymentStatus;
  amountMinor: number;
  currency: string;
  /** Why nothing more happens to it until somebody has looked. */
  held: string | null;
}

/** What the provider says has become of a payment. */
export interface Report {
  outcome: 'completed' | 'failed' | 'refunded';
  amountMinor: number;
  currency: string;
}

/** What follows from a report. `hold`: it contradicts what we know, and somebody must look at it. */
export type Consequence = { kind: 'complete' | 'fail' | 'finish-refund' | 'nothing' } | { kind: 'hold'; why: string };

const NOTHING: Consequence = { kind: 'nothing' };

export function consequenceOf(report: Report, payment: Payment): Consequence {
  if (payment.held !== null) return NOTHING;
  const { status } = payment;
  switch (report.outcome) {
    case 'completed':
      if (status === 'pending') return ifAmountMatches(report, payment, { kind: 'complete' });
      return status === 'failed' ? { kind: 'hold', why: 'reported as completed after it had failed' } : NOTHING;
    case 'failed':
      return status === 'pending' ? ifAmountMatches(report, payment, { kind: 'fail' }) : NOTHING;
    case 'refunded':
      if (status === 'refunding') return ifAmountMatches(report, payment, { kind: 'finish-refund' });
      return status === 'refunded' ? NOTHING : { kind: 'hold', why: `refunded unasked, while it was ${status}` };
  }
}

function ifAmountMatches({ outcome, ...report }: Report, payment: Payment, then: Consequence): Consequence {
  if (report.amountMinor === payment.amountMinor && report.currency === payment.currency) return then;
  const [said, expected] = [report, payment].map(({ amountMinor, currency }) => `${amountMinor} ${currency}`);
  return { kind: 'hold', why: `reported as ${outcome} with ${said} instead of ${expected} (minor units)` };
}
