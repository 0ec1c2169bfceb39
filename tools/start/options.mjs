import { parseArgs } from 'node:util';
import { Failure } from '../infrastructure/failure.mjs';
import { databases, examples, services } from './services.mjs';

const help = `Usage: npm start -- [options]          (npm run dev: the same with --watch)

Starts the whole system: RabbitMQ and Postgres (found, or started here), then ${services.map((s) => s.name).join(', ')}.
Ctrl-C stops what was started and keeps the data in .data/; npm run reset removes them.

${services.map((s) => `  ${`--${s.name}-port <port>`.padEnd(32)}port of ${s.name.padEnd(35)}(${s.port})`).join('\n')}
  --rabbitmq-port <port>          start a RabbitMQ of our own on this port   (5672 if free)
  --management-port <port>        port of its management UI                  (15672 if free)
  --postgres-port <port>          port of our Postgres                       (5433 if free)
  --fresh                         remove all data first
  --no-infra                      start neither RabbitMQ nor Postgres; their addresses must be given
  --watch                         rebuild what is changed and restart the service concerned
  --help                          this text

Environment (or a file .env in the project's folder):
  RABBITMQ_URL                    use this broker
${databases.map(({ variable }) => `  ${variable.padEnd(32)}use this database`).join('\n')}
  WITH                            examples to start as well, separated by commas: ${examples.map(({ name }) => name).join(', ')}
`;

const port = /** @type {const} */ ({ type: 'string' });
const flag = /** @type {const} */ ({ type: 'boolean', default: false });

/**
 * @param {string[]} args
 * @returns {{ ports: Record<string, number>, help?: string, fresh: boolean, infra: boolean, watch: boolean }}
 */
export function readOptions(args) {
  const { values } = parse(args);
  /** @type {Record<string, number>} */
  const ports = {};
  for (const [name, value] of Object.entries(values)) {
    if (name.endsWith('-port')) ports[name.replace(/-port$/, '')] = readPort(`--${name}`, String(value));
  }
  for (const { name, prefix, port: usual } of services) {
    ports[name] ??= process.env[`${prefix}_PORT`] ? readPort(`${prefix}_PORT`, process.env[`${prefix}_PORT`]) : usual;
  }
  requireDifferent(ports);
  const { fresh, watch } = values;
  return { ports, fresh, watch, infra: !values['no-infra'], help: values.help ? help : undefined };
}

/** @param {string[]} args */
function parse(args) {
  const servicePorts = Object.fromEntries(services.map(({ name }) => [`${name}-port`, port]));
  try {
    return parseArgs({
      args,
      options: {
        ...servicePorts,
        'rabbitmq-port': port,
        'management-port': port,
        'postgres-port': port,
        fresh: flag,
        'no-infra': flag,
        watch: flag,
        help: { ...flag, short: 'h' },
      },
    });
  } catch (error) {
    throw new Failure(/** @type {Error} */ (error).message.split('. ')[0] + '.', 'The options: npm start -- --help');
  }
}

/**
 * @param {string} name
 * @param {string | undefined} text
 */
function readPort(name, text = '') {
  const number = Number(text);
  if (/^\d+$/.test(text) && number > 0 && number < 65_536) return number;
  throw new Failure(`${name} must be a port, a number from 1 to 65535, not "${text}".`);
}

/** @param {Record<string, number>} ports */
function requireDifferent(ports) {
  const entries = Object.entries(ports);
  for (const [name, number] of entries) {
    const twin = entries.find(([other, same]) => other !== name && same === number);
    if (twin) throw new Failure(`${name} and ${twin[0]} cannot both have port ${number}.`);
  }
}
