import { event, registerContracts } from '@app/contracts';
import { z } from 'zod';

/** What the load driver asks of an event: to behave, or how to misbehave. */
export const FLAGS = ['slow', 'throws', 'hangs', 'blocks', 'aborts'] as const;

const entry = {
  accountId: z.string(),
  commandId: z.string(),
  /** Which of the command's events it is. */
  index: z.int(),
  amount: z.int(),
  flag: z.enum(FLAGS).optional(),
  padding: z.string().optional(),
};
const example = { accountId: 'a1', commandId: 'c1', index: 0, amount: 5 };
const definition = { subject: 'accountId', data: entry, example } as const;

export class Credited extends event('producer.account.credited.v1', definition) {}
export class Debited extends event('producer.account.debited.v1', definition) {}
export class Noted extends event('producer.account.noted.v1', definition) {}

/** A second aggregate with the same subjects: the gate must not mix them up. */
export class Raised extends event('producer.ticket.raised.v1', definition) {}
export class Closed extends event('producer.ticket.closed.v1', definition) {}

/** The way back: recorded by a reaction of the consumer. */
export class ReceiptIssued extends event('consumer.receipt.issued.v1', {
  subject: 'accountId',
  data: { accountId: z.string(), commandId: z.string(), index: z.int(), amount: z.int() },
  example,
}) {}

export type Entry = z.output<typeof Credited.schema>;

/** What only the second version of the services knows: a new version of an event, and an event that is new altogether. */
export class CreditedV2 extends event('producer.account.credited.v2', definition) {}
export class Archived extends event('producer.account.archived.v1', definition) {}

/** Which version of the code this process runs. */
export const isSecondVersion = process.env.FAULTS_VERSION === '2';

export const producerEvents = [
  Credited,
  Debited,
  Noted,
  Raised,
  Closed,
  ...(isSecondVersion ? [CreditedV2, Archived] : []),
];

registerContracts([...producerEvents, ReceiptIssued]);
