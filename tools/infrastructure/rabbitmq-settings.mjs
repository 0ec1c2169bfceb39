import path from 'node:path';

/** @typedef {import('./rabbitmq-ports.mjs').Ports} Ports */

/** @param {{ ports: Ports, log: string, statisticsMs: number }} options */
export function configuration({ ports, log, statisticsMs }) {
  const conf = {
    'listeners.tcp.1': `127.0.0.1:${ports.amqp}`,
    'management.tcp.ip': '127.0.0.1',
    'management.tcp.port': ports.management,
    // the default (50 MB) lets a small disk fill to the brim; a share of the memory would stop a laptop with a full disk
    'disk_free_limit.absolute': '200MB',
    // a development broker needs no 512 MB of write-ahead log before it tidies up
    'raft.wal_max_size_bytes': 64_000_000,
    'log.dir': log,
    'log.file': 'rabbitmq.log',
    'log.file.level': 'info',
    'log.file.rotation.size': 10_000_000,
    'log.file.rotation.count': 2,
    'log.console': 'false',
    collect_statistics_interval: statisticsMs,
  };
  return {
    conf: Object.entries(conf)
      .map(([key, value]) => `${key} = ${value}\n`)
      .join(''),
    advanced: `[{rabbit, [{quorum_tick_interval, ${statisticsMs}}]}].\n`,
  };
}

/** @returns {NodeJS.ProcessEnv} our environment, without what would change the broker behind our back */
export const inherited = () =>
  Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^(RABBITMQ_|ERL_|NODE_|npm_|TEST_)/.test(key)));

/**
 * @param {{ dir: string, name: string, ports: Ports, path: string }} options
 * @returns {Record<string, string>} what makes RabbitMQ's programs serve this node and no other
 */
export function environment({ dir, name, ports, path: searchPath }) {
  const file = (/** @type {string} */ name) => path.join(dir, name);
  const loopback = '-kernel inet_dist_use_interface {127,0,0,1}';
  return {
    PATH: searchPath,
    HOME: file('home'), // the Erlang cookie lives there
    LC_ALL: process.platform === 'darwin' ? 'en_US.UTF-8' : 'C.UTF-8',
    ERL_EPMD_PORT: String(ports.epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_CRASH_DUMP: file('log/erl_crash.dump'),
    ERL_MAX_PORTS: '16384',
    RABBITMQ_NODENAME: name,
    RABBITMQ_CONF_ENV_FILE: file('none'), // not the system's
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: file('advanced.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins'),
    RABBITMQ_MNESIA_BASE: file('data'),
    RABBITMQ_LOG_BASE: file('log'),
    RABBITMQ_GENERATED_CONFIG_DIR: file('generated'),
    RABBITMQ_PID_FILE: file('pid'),
    RABBITMQ_DIST_PORT: String(ports.distribution),
    RABBITMQ_CTL_ERL_ARGS: loopback,
    // Erlang's threads look for work for a while before they sleep, which on a few cores is time taken from everybody else
    // (https://www.rabbitmq.com/docs/runtime#busy-waiting);
    // the flag at the end has no meaning for Erlang: it tells our broker from others in the list of processes
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `+sbwt none +sbwtdcpu none +sbwtdio none ${loopback} -reactive_node ${name}`,
  };
}
