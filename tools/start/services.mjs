/**
 * What `npm start` runs. To add a service, add a line; it gets <PREFIX>_PORT, <PREFIX>_DATABASE_URL and RABBITMQ_URL, and must
 * answer GET /health/ready once it can work.
 * @typedef {{ name: string, prefix: string, port: number, database: string }} Service
 * @type {readonly Service[]}
 */
export const services = [
  { name: 'users', prefix: 'USERS', port: 3000, database: 'users' },
  { name: 'orders', prefix: 'ORDERS', port: 3001, database: 'orders' },
];

/** @param {Service} service */
export const entryOf = ({ name }) => `dist/apps/${name}/apps/${name}/src/main.js`;
