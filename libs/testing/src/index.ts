export { eventually } from './eventually.js';
export { freePort } from './free-port.js';
export { rabbitmqctl } from './rabbitmqctl.js';
export { createTestDatabase, type TestDatabase } from './test-database.js';
export { startProcess, type TestProcess } from './test-process.js';
export { startServers, type TestServers } from './test-servers.js';
export { createTestVhost, type TestVhost } from './test-vhost.js';
