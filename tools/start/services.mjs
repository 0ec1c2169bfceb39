/**
 * What `npm start` runs. To add a service, add a line; it gets <PREFIX>_PORT, <PREFIX>_DATABASE_URL and RABBITMQ_URL, and must
 * answer GET /health/ready once it can work.
 * @typedef {object} Service
 * @property {string} name of the folder under apps/
 * @property {string} prefix of its variables
 * @property {number} port unless the environment or an option says otherwise
 * @property {string} [database] that it has for itself
 * @property {string} [entry] a program that needs no build, instead of apps/<name>
 */

/** @type {readonly Service[]} */
export const services = [
  { name: 'users', prefix: 'USERS', port: 3000, database: 'users' },
  { name: 'orders', prefix: 'ORDERS', port: 3001, database: 'orders' },
];

/** @param {Service} service */
export const entryOf = ({ name, entry }) => entry ?? `dist/apps/${name}/apps/${name}/src/main.js`;

/** The services with a database of their own, and the variable that holds its address. */
export const databases = services.flatMap(({ prefix, database }) =>
  database ? [{ variable: `${prefix}_DATABASE_URL`, database }] : [],
);
