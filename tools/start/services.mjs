import { randomBytes } from 'node:crypto';
import { Failure } from '../infrastructure/failure.mjs';

/**
 * What `npm start` runs. To add a service, add a line; it gets <PREFIX>_PORT, <PREFIX>_DATABASE_URL and RABBITMQ_URL, and must
 * answer GET /health/ready once it can work.
 * @typedef {object} Service
 * @property {string} name
 * @property {string} [folder] of its sources; default: apps/<name>
 * @property {string} prefix of its variables
 * @property {number} port unless the environment or an option says otherwise
 * @property {string} [database] that it has for itself
 * @property {string} [entry] a program that needs no build, instead of apps/<name>
 */

/**
 * @typedef {Pick<Service, 'name' | 'folder' | 'entry'> & { output?: string, also?: string[] }} Buildable `output` is where (default:
 *   dist/apps/<name>), `also` the folders that it imports besides its own and the libraries
 */

/** Started by `WITH=shipping npm start`. @type {readonly Service[]} */
export const examples = [
  { name: 'shipping', prefix: 'SHIPPING', port: 3003, database: 'shipping', folder: 'examples/shipping' },
];
const wanted = (process.env.WITH ?? '')
  .split(',')
  .map((name) => name.trim())
  .filter(Boolean);

/** @type {readonly Service[]} */
export const services = [
  { name: 'users', prefix: 'USERS', port: 3000, database: 'users' },
  { name: 'orders', prefix: 'ORDERS', port: 3001, database: 'orders' },
  { name: 'payment-provider', prefix: 'PAYMENT_PROVIDER', port: 3002, entry: 'tools/payment-provider/main.mjs' },
  ...examples.filter(({ name }) => wanted.includes(name)),
];

/** A name in WITH that nobody knows must not go unnoticed. */
export function requireKnownExamples() {
  const names = examples.map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown)
    throw new Failure(`WITH names "${unknown}", and there is no such example.`, `There is: ${names.join(', ')}`);
}

/**
 * Where a service answers that listens on this address.
 * @param {string | undefined} host
 * @param {string | number | undefined} port
 */
export function urlAt(host = '', port) {
  const everywhere = ['', '0.0.0.0', '::', '127.0.0.1'].includes(host);
  return `http://${everywhere ? 'localhost' : host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * What the services need to know of each other; the environment may say otherwise.
 * @param {Record<string, number>} ports by service
 * @returns {Record<string, string>}
 */
export const acquaintances = (ports) => ({
  PAYMENT_PROVIDER_URL: urlAt(process.env.HOST, ports['payment-provider']),
  PAYMENT_WEBHOOK_URL: `${urlAt(process.env.HOST, ports.orders)}/webhooks/payments`,
  PAYMENT_WEBHOOK_SECRET: `whsec_${randomBytes(24).toString('base64')}`,
});

/** In front of the lines of each. */
export const nameWidth = Math.max(...services.map(({ name }) => name.length));

/** @param {Buildable} service */
export const folderOf = ({ name, folder }) => folder ?? `apps/${name}`;

/** @param {Buildable} service */
export const outputOf = ({ name, output }) => output ?? `dist/apps/${name}`;

/** Where `nest build` puts the program, too. @param {Buildable} service */
export const entryOf = (service) => service.entry ?? `${outputOf(service)}/${folderOf(service)}/src/main.js`;

/** The same as one file, which starts faster. @param {Buildable} service */
export const bundleOf = (service) => service.entry ?? `${outputOf(service)}/bundle/main.js`;

/** The services with a database of their own, and the variable that holds its address. */
export const databases = services.flatMap(({ prefix, database }) =>
  database ? [{ variable: `${prefix}_DATABASE_URL`, database }] : [],
);
