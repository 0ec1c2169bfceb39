import { readFileSync, writeFileSync } from 'node:fs';
import { freePort, isFree, requireFree } from './ports.mjs';

/** @typedef {{ amqp: number, management: number, distribution: number, epmd: number }} Ports */

/**
 * @param {{ amqp?: number, management?: number }} wanted
 * @param {string} memory the file that keeps them for the next start
 * @returns {Promise<Ports>}
 */
export async function choosePorts(wanted, memory) {
  const remembered = recall(memory);
  const options = { amqp: '--rabbitmq-port', management: '--management-port' };
  const names = { amqp: 'RabbitMQ', management: "RabbitMQ's management UI" };
  const usual = { amqp: 5672, management: 15672 };
  /** @param {'amqp' | 'management'} kind */
  const choose = async (kind) => {
    const port = wanted[kind];
    if (port === 0) return freePort();
    if (port !== undefined) {
      await requireFree(port, { what: names[kind], remedy: `npm start -- ${options[kind]} <port>` });
      return port;
    }
    // the usual one, which the documentation names, also if another program had it last time
    for (const candidate of [usual[kind], remembered[kind]]) {
      if (candidate !== undefined && (await isFree(candidate))) return candidate;
    }
    return freePort();
  };
  const [amqp, management] = [await choose('amqp'), await choose('management')];
  const ports = { amqp, management, distribution: await freePort(), epmd: await freePort() };
  writeFileSync(memory, JSON.stringify(ports));
  return ports;
}

/**
 * @param {string} file
 * @returns {Partial<Ports>} those of the last start
 */
function recall(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}
