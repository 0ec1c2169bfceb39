/** @typedef {{ user: string, password: string }} Credentials */

/**
 * @param {string} managementUrl
 * @param {Credentials} credentials
 * @param {string} path
 * @param {{ method?: string, body?: unknown }} [options]
 * @returns {Promise<{ status: number, body: any }>} status 0 if nothing answers
 */
export async function api(managementUrl, { user, password }, path, { method = 'GET', body } = {}) {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  try {
    const response = await fetch(`${managementUrl}/api/${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text };
  } catch {
    return { status: 0, body: undefined };
  }
}

/**
 * @param {string} managementUrl
 * @param {Credentials} credentials
 */
export async function apiAnswers(managementUrl, credentials) {
  return (await api(managementUrl, credentials, 'overview')).status === 200;
}

/**
 * Tries to log in to a broker.
 * @param {string} url
 * @returns {Promise<{ outcome: 'accepted', product: string, version: string } |
 *   { outcome: 'refused' | 'unreachable' | 'no vhost', reason: string }>}
 */
export async function logIn(url) {
  const { default: amqp } = await import('amqplib');
  try {
    const connection = await amqp.connect(url, { timeout: 5000 });
    const { product, version } = connection.connection.serverProperties;
    await connection.close();
    return { outcome: 'accepted', product, version };
  } catch (error) {
    const { message, code } = /** @type {Error & { code?: string | number }} */ (error);
    const reason = message || String(code);
    if (/ACCESS_REFUSED|403/.test(reason)) return { outcome: 'refused', reason };
    if (/NOT_ALLOWED|530|vhost|ConnectionOpenOk/.test(reason)) return { outcome: 'no vhost', reason };
    return { outcome: 'unreachable', reason };
  }
}
