import { randomBytes } from 'node:crypto';
import { variable } from './environment.js';

export interface TestQueue {
  name: string;
  type: string;
  arguments: Record<string, unknown>;
  /** Sizes are up to half a second old. */
  messages?: number;
  messages_ready?: number;
  messages_unacknowledged?: number;
  consumers?: number;
  [field: string]: unknown;
}

export interface TestBinding {
  source: string;
  destination: string;
  destination_type: 'queue' | 'exchange';
  routing_key: string;
  arguments: Record<string, unknown>;
}

export interface TestVhost {
  /** For AMQP, with user, password and vhost. */
  readonly url: string;
  readonly name: string;
  queues(): Promise<TestQueue[]>;
  /** Without the one that every queue has with the default exchange. */
  bindings(): Promise<TestBinding[]>;
  exchanges(): Promise<{ name: string; type: string; durable: boolean }[]>;
  connections(): Promise<{ name: string; client_properties?: Record<string, unknown> }[]>;
  /** Closes every connection of this vhost, as an operator may in the management UI. */
  closeConnections(): Promise<void>;
  /** As a person does in the management UI: `routed` says whether a queue took it. */
  publish(
    exchange: string,
    routingKey: string,
    payload: string,
    properties?: Record<string, unknown>,
  ): Promise<{ routed: boolean }>;
  /** Takes up to `count` messages from a queue, for good. */
  take(queue: string, count?: number): Promise<{ payload: string; properties: Record<string, unknown> }[]>;
  deleteQueue(name: string): Promise<void>;
  /** Anything else of the management API; `path` comes after `/api/`. */
  api<T>(method: string, path: string, body?: unknown): Promise<T>;
  drop(): Promise<void>;
}

/** A vhost of your own on the broker of this test run. */
export async function createTestVhost(): Promise<TestVhost> {
  return vhostOn(variable('TEST_RABBITMQ_URL'), variable('TEST_RABBITMQ_MANAGEMENT_URL'));
}

/**
 * @param amqpUrl without a vhost
 * @param managementUrl with user and password
 */
export async function vhostOn(amqpUrl: string, managementUrl: string): Promise<TestVhost> {
  const api = managementApi(managementUrl);
  const name = `test-${randomBytes(6).toString('hex')}`;
  const path = encodeURIComponent;
  await api('PUT', `vhosts/${name}`);
  const user = decodeURIComponent(new URL(managementUrl).username);
  await api('PUT', `permissions/${name}/${path(user)}`, { configure: '.*', write: '.*', read: '.*' });
  const connections = () => api<{ name: string }[]>('GET', `vhosts/${name}/connections`);
  return {
    url: `${amqpUrl}/${name}`,
    name,
    api,
    connections,
    queues: () => api('GET', `queues/${name}`),
    bindings: async () => (await api<TestBinding[]>('GET', `bindings/${name}`)).filter((binding) => binding.source),
    exchanges: () => api('GET', `exchanges/${name}`),
    closeConnections: async () => {
      for (const connection of await connections()) await api('DELETE', `connections/${path(connection.name)}`);
    },
    publish: (exchange, routingKey, payload, properties = {}) =>
      api('POST', `exchanges/${name}/${path(exchange || 'amq.default')}/publish`, {
        routing_key: routingKey,
        payload,
        payload_encoding: 'string',
        properties,
      }),
    take: (queue, count = 1) =>
      api('POST', `queues/${name}/${path(queue)}/get`, { count, ackmode: 'ack_requeue_false', encoding: 'auto' }),
    deleteQueue: (queue) => api('DELETE', `queues/${name}/${path(queue)}`),
    drop: () => api('DELETE', `vhosts/${name}`),
  };
}

function managementApi(managementUrl: string) {
  const { origin, username, password } = new URL(managementUrl);
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const headers = {
    authorization: `Basic ${Buffer.from(credentials).toString('base64')}`,
    'content-type': 'application/json',
  };
  return async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${origin}/api/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} /api/${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  };
}
