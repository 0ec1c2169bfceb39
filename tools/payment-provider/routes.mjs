import { MODES, modes, payments, takePayment, takeRefund } from './payments.mjs';

/** @typedef {import('node:http').IncomingMessage} Request */

/** What the client did wrong. */
class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @type {Map<string, { request: string, answer: object }>} by path and Idempotency-Key */
const answered = new Map();

/**
 * @param {Request} request
 * @param {import('node:http').ServerResponse} response
 * @param {string} help
 */
export async function handle(request, response, help) {
  try {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/') return void response.end(help);
    const { status, body } = await route(request, pathname);
    response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
  } catch (error) {
    const { status = 500, message } = /** @type {Partial<Refusal>} */ (error);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: message }));
  }
}

/**
 * @param {Request} request
 * @param {string} pathname
 * @returns {Promise<{ status: number, body: unknown }>}
 */
async function route(request, pathname) {
  const [, resource = '', id = ''] = pathname.split('/');
  switch (`${request.method} /${resource}${id && '/:id'}`) {
    case 'GET /health/:id':
      return { status: 200, body: { status: 'ok' } };
    case 'POST /payments':
      return once(request, takePayment, ['paymentId', 'orderId', 'userId']);
    case 'POST /refunds':
      return once(request, takeRefund, ['refundId', 'paymentId']);
    case 'GET /payments':
      return { status: 200, body: [...payments.values()] };
    case 'GET /payments/:id':
      if (!payments.has(id)) throw new Refusal(404, `there is no payment ${id}`);
      return { status: 200, body: payments.get(id) };
    case 'PUT /modes/:id':
      modes.set(id, modeIn(await readJson(request)));
      return { status: 200, body: Object.fromEntries(modes) };
    case 'DELETE /modes/:id':
      modes.delete(id);
      return { status: 200, body: Object.fromEntries(modes) };
    case 'DELETE /modes':
      modes.clear();
      return { status: 200, body: {} };
    case 'GET /modes':
      return { status: 200, body: Object.fromEntries(modes) };
    default:
      throw new Refusal(404, 'there is nothing here; GET / tells what there is');
  }
}

/**
 * Does it once per Idempotency-Key, and answers the same ever after.
 * @param {Request} request
 * @param {(body: any) => object} work
 * @param {string[]} ids that the body must hold, besides amount and currency
 */
async function once(request, work, ids) {
  const key = `${request.url} ${request.headers['idempotency-key'] ?? ''}`;
  if (!request.headers['idempotency-key']) throw new Refusal(400, 'the Idempotency-Key is missing');
  const body = await readJson(request);
  for (const name of [...ids, 'currency']) {
    if (typeof body[name] !== 'string' || body[name] === '') throw new Refusal(400, `${name} is missing`);
  }
  if (!Number.isSafeInteger(body.amountMinor) || body.amountMinor <= 0) throw new Refusal(400, 'amountMinor is wrong');
  const known = answered.get(key);
  const text = JSON.stringify(body);
  if (known && known.request !== text) throw new Refusal(422, 'the Idempotency-Key was used for something else');
  const answer = known?.answer ?? work(body);
  answered.set(key, { request: text, answer });
  return { status: 202, body: answer };
}

/** @param {any} body */
function modeIn({ mode, afterMs }) {
  if (!MODES.includes(mode)) throw new Refusal(400, `mode must be one of ${MODES.join(', ')}`);
  if (afterMs !== undefined && !(Number.isSafeInteger(afterMs) && afterMs >= 0)) {
    throw new Refusal(400, 'afterMs must be a number of milliseconds');
  }
  return { mode, ...(afterMs !== undefined && { afterMs }) };
}

/** @param {Request} request @returns {Promise<any>} */
async function readJson(request) {
  request.setEncoding('utf8');
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 100_000) throw new Refusal(413, 'the body is too large');
  }
  try {
    const body = JSON.parse(text);
    if (typeof body === 'object' && body !== null) return body;
  } catch {
    // said below
  }
  throw new Refusal(400, 'the body is not a JSON object');
}
