import { setTimeout as sleep } from 'node:timers/promises';

/** @typedef {{ managementUrl: string, user: string, password: string, url: string, rabbitmqctl: (args: string[]) => Promise<{ stdout: string, stderr: string, code: number }> }} Node */

/** A RabbitMQ node seen by an operator: rabbitmqctl and the management API. */
export class Broker {
  #nodeNow;

  /** @param {() => Node} node that answers at the moment */
  constructor(node) {
    this.#nodeNow = node;
  }

  get node() {
    return this.#nodeNow();
  }

  /** @param {string[]} args @returns {Promise<string>} what it printed */
  async ctl(...args) {
    const { code, stdout, stderr } = await this.node.rabbitmqctl(args);
    if (code !== 0) throw new Error(`rabbitmqctl ${args.join(' ')}: ${stderr || stdout}`);
    return stdout;
  }

  /**
   * @param {string} method
   * @param {string} where after /api/
   * @param {unknown} [body]
   * @returns {Promise<any>}
   */
  async api(method, where, body) {
    const { managementUrl, user, password } = this.node;
    const response = await fetch(`${managementUrl}/api/${where}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
        'content-type': 'application/json',
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(15_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} /api/${where}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  /** Right after a start the management API may not be there yet. @param {string} name */
  async createVhost(name) {
    for (let patience = 50; ; patience--) {
      try {
        await this.api('PUT', `vhosts/${name}`);
        await this.api('PUT', `permissions/${name}/${this.node.user}`, { configure: '.*', write: '.*', read: '.*' });
        return;
      } catch (error) {
        if (patience === 0) throw error;
        await sleep(200);
      }
    }
  }

  /** @param {string} vhost @returns {Promise<{ name: string, messages?: number, messages_unacknowledged?: number, message_stats?: { redeliver?: number } }[]>} */
  queues(vhost) {
    return this.api('GET', `queues/${vhost}`);
  }

  /**
   * Messages and consumers as the queues themselves have them at this moment. The management API is some seconds behind, and the
   * figures of `list_queues` are those that the former leader had, for minutes, after another broker has taken over (seen in 3.10).
   * What the broker has given up and could not dead-letter counts in `messages` only.
   * @param {string} vhost
   * @returns {Promise<{ name: string, messages: number, ready: number, unacknowledged: number, consumers: number }[]>}
   */
  async queuesNow(vhost) {
    const said = await this.ctl('eval', askQueues(vhost));
    return [...said.matchAll(/^queue (\S+) (\d+) (\d+) (\d+) (\d+)$/gm)].map(([, name = '', ...figures]) => {
      const [messages = 0, ready = 0, unacknowledged = 0, consumers = 0] = figures.map(Number);
      return { name, messages, ready, unacknowledged, consumers };
    });
  }

  /** Names as services give them: `consumer@host:pid purpose`. @param {string} vhost @returns {Promise<string[]>} */
  async connections(vhost) {
    const connections = await this.api('GET', `vhosts/${vhost}/connections`);
    return connections.map((/** @type {any} */ connection) =>
      String(connection.client_properties?.connection_name ?? connection.name),
    );
  }

  /** When the connections that are open were made, in ms, the oldest first. @param {string} vhost @returns {Promise<number[]>} */
  async connectedAt(vhost) {
    const connections = await this.api('GET', `vhosts/${vhost}/connections`);
    const times = connections.map((/** @type {any} */ { connected_at: at }) => at).filter(Number.isFinite);
    return times.sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
  }

  /**
   * Names of connections from the connections themselves. The management API shows a connection for a while, or for good, whose end
   * overtook its last figures.
   * @param {string} vhost
   * @returns {Promise<string[]>}
   */
  async openConnections(vhost) {
    const said = await this.ctl('list_connections', '--quiet', '--formatter', 'json', 'vhost', 'client_properties');
    /** @type {{ vhost: string, client_properties: [string, string, string][] }[]} */
    const connections = JSON.parse(said);
    return connections
      .filter((connection) => connection.vhost === vhost)
      .map(({ client_properties: properties }) => {
        return properties.find(([key]) => key === 'connection_name')?.[2] ?? 'without a name';
      });
  }
}

/** Asks the leaders, who ask the majority. Consumers whose broker is suspected to be down do not count. @param {string} vhost */
const askQueues = (vhost) => `
Ask = fun(Queue, Question) -> {ok, Answer, _} = ra:consistent_query(amqqueue:get_pid(Queue), Question), Answer end,
[begin
  {resource, _, queue, Name} = amqqueue:get_name(Queue),
  Consumers = [C || C <- maps:values(Ask(Queue, fun rabbit_fifo:query_consumers/1)), element(6, C) =/= suspected_down],
  io:format("queue ~s ~b ~b ~b ~b~n", [
    Name,
    Ask(Queue, fun rabbit_fifo:query_messages_total/1),
    Ask(Queue, fun rabbit_fifo:query_messages_ready/1),
    Ask(Queue, fun rabbit_fifo:query_messages_checked_out/1),
    length(Consumers)])
end || Queue <- rabbit_amqqueue:list(<<"${vhost}">>), amqqueue:get_type(Queue) =:= rabbit_quorum_queue],
ok.`;
