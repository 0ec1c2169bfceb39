// Standard Webhooks, sent until they are answered with 2xx.
import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
const TIMEOUT_MS = 5_000;

const stopping = new AbortController();
export const stopDelivering = () => stopping.abort();

export function verifySecret() {
  if (/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/.test(process.env.PAYMENT_WEBHOOK_SECRET ?? '')) return;
  console.error('payment provider: PAYMENT_WEBHOOK_SECRET must be whsec_ and 24 to 64 bytes in base64');
  process.exit(78);
}

/**
 * Reports something in the background.
 * @param {string} type
 * @param {object} data
 * @param {number} [copies] sent at the same time, under one id
 */
export function report(type, data, copies = 1) {
  const id = `msg_${randomUUID()}`;
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
  for (let copy = 0; copy < copies; copy++) void deliver(id, body);
}

/**
 * @param {string} id
 * @param {string} body
 */
async function deliver(id, body) {
  for (let attempt = 0; !stopping.signal.aborted; attempt++) {
    const answer = await post(id, body);
    if (answer >= 200 && answer < 300) return;
    console.log(`webhook ${id} was answered with ${answer || 'nothing'}; again soon`);
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
    await delay(pause * (0.5 + Math.random() / 2), undefined, { signal: stopping.signal }).catch(() => {});
  }
}

/**
 * @param {string} id
 * @param {string} body
 * @returns {Promise<number>} the status; 0: no answer
 */
async function post(id, body) {
  const url = process.env.PAYMENT_WEBHOOK_URL || 'http://localhost:3001/webhooks/payments';
  const timestamp = String(Math.floor(Date.now() / 1000)); // of this attempt: old ones are not taken
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': sign(`${id}.${timestamp}.${body}`),
  };
  try {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}

/** @param {string} content */
function sign(content) {
  const key = Buffer.from((process.env.PAYMENT_WEBHOOK_SECRET ?? '').replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
}
