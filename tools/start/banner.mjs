import { services } from './services.mjs';
import { colour } from './steps.mjs';

/**
 * @param {{ urls: Record<string, string>, broker: import('../infrastructure/rabbitmq.mjs').Broker }} system
 * @returns {string} where everything is, and what to try
 */
export function banner({ urls, broker: { managementUrl, user, password, owned } }) {
  const rows = services.map(({ name, entry }) =>
    entry ? [`${name} (what it can do)`, `${urls[name]}/`] : [`${name} (Swagger UI)`, `${urls[name]}/docs`],
  );
  const ui = managementUrl?.replace('127.0.0.1', 'localhost');
  // the password of somebody else's broker is not ours to print
  const login = owned || user === 'guest' ? `${user} / ${password}` : `${user}, password as in RABBITMQ_URL`;
  if (ui) rows.push(['RabbitMQ management', `${ui}   login ${login}`]);
  const width = Math.max(...rows.map(([what = '']) => what.length));
  const { users, orders } = urls;
  return [
    '',
    colour('bold', 'Everything is running.'),
    ...rows.map(([what = '', where]) => `  ${what.padEnd(width)}  ${where}`),
    '',
    'Register a user:',
    `  curl -i -X POST ${users?.replace('http://', '')}/users -H 'content-type: application/json' -d '{"name":"Alice","email":"alice@example.com"}'`,
    'The event travels to orders, which opens a customer. Take the id from the answer:',
    `  curl -i ${orders?.replace('http://', '')}/customers/<id>`,
    '',
    'Ctrl-C stops everything; the data stay in .data/ (npm run reset removes them). Logs:',
    '',
  ].join('\n');
}
