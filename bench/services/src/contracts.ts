import { event, registerContracts } from '@app/contracts';
import { z } from 'zod';

/** The one event of the benchmark: about 200 bytes of payload. */
export class ItemChanged extends event('maker.item.changed.v1', {
  subject: 'itemId',
  data: {
    itemId: z.uuid(),
    version: z.int(),
    /** Which shared row it adds to. */
    bucket: z.int(),
    amount: z.int(),
    note: z.string(),
  },
  example: { itemId: '0199d2c4-7b1e-7c3a-9f60-2b8f1f4f2a11', version: 1, bucket: 0, amount: 1, note: 'as new' },
}) {}

export type Item = Readonly<Pick<ItemChanged, 'itemId' | 'version' | 'bucket' | 'amount' | 'note'>>;

registerContracts([ItemChanged]);
