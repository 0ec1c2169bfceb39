// A payment provider that does what a script says: the sandbox has modes, this one has bad luck as well. It captures, fails or
// stays silent, and its webhooks come late, several times, in any order, each until it is answered with 2xx.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';

/** What becomes of one payment. */
export interface Fate {
  outcome: 'completed' | 'failed' | 'nothing';
  /** Of each copy of a webhook. */
  delaysMs: readonly number[];
  /** The copies have ids of their own, as if the provider had forgotten that it has told already. */
  forgetful: boolean;
  /** The first call is accepted, but its answer is lost. */
  hangsUp: boolean;
}

export interface ScriptedProvider {
  readonly url: string;
  /** Captured − refunded, by order. */
  readonly kept: ReadonlyMap<string, number>;
  /** Webhooks that are not answered yet. */
  readonly underWay: number;
  /** The fates of the payments to come, in this order, from the beginning again after the last. */
  follow(fates: readonly Fate[], webhookUrl: string): void;
  close(): void;
}

interface Call {
  paymentId: string;
  refundId?: string;
  orderId?: string;
  amountMinor: number;
  currency: string;
}

export async function startScriptedProvider(secret: string): Promise<ScriptedProvider> {
  const webhook = new Webhook(secret);
  const kept = new Map<string, number>();
  const payments = new Map<string, { orderId: string; fate: Fate }>();
  const seen = new Set<string>();
  let script: readonly Fate[] = [];
  let webhookUrl = '';
  let underWay = 0;

  const tell = async (type: string, { paymentId, amountMinor, currency }: Call, { delaysMs, forgetful }: Fate) => {
    const ids = delaysMs.map(() => randomUUID());
    const data = { paymentId, reference: `ref_${paymentId}`, amountMinor, currency };
    const text = JSON.stringify({ type: `payment.${type}`, timestamp: new Date().toISOString(), data });
    await Promise.all(delaysMs.map((ms, n) => deliver(ids[forgetful ? n : 0]!, text, ms)));
  };
  const deliver = async (id: string, text: string, ms: number) => {
    underWay += 1;
    await delay(ms);
    for (let answered = false; !answered;) {
      const at = new Date();
      const headers = {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
        'webhook-signature': webhook.sign(id, at, text),
      };
      answered = await fetch(webhookUrl, { method: 'POST', headers, body: text }).then(
        ({ ok }) => ok,
        () => false,
      );
      if (!answered) await delay(50);
    }
    underWay -= 1;
  };
  /** Once per Idempotency-Key. */
  const act = (call: Call): void => {
    if (call.refundId) {
      const { orderId, fate } = payments.get(call.paymentId)!;
      kept.set(orderId, (kept.get(orderId) ?? 0) - call.amountMinor);
      return void tell('refunded', call, fate);
    }
    const fate = script[payments.size % script.length]!;
    payments.set(call.paymentId, { orderId: call.orderId!, fate });
    if (fate.outcome === 'completed') kept.set(call.orderId!, (kept.get(call.orderId!) ?? 0) + call.amountMinor);
    if (fate.outcome !== 'nothing') void tell(fate.outcome, call, fate);
  };

  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const call = JSON.parse(text) as Call;
      const key = String(request.headers['idempotency-key']);
      const isFirst = !seen.has(key);
      seen.add(key);
      if (isFirst) act(call);
      if (isFirst && payments.get(call.paymentId)!.fate.hangsUp) request.socket.destroy();
      else response.writeHead(202).end(JSON.stringify({ reference: `ref_${call.paymentId}` }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    kept,
    get underWay() {
      return underWay;
    },
    follow: (fates, to) => {
      payments.clear();
      [script, webhookUrl] = [fates, to];
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
