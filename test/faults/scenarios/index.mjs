import { booksScenarios } from './books.mjs';
import { brokerScenarios } from './broker.mjs';
import { clusterScenarios } from './cluster.mjs';
import { consumerScenarios } from './consumer.mjs';
import { databaseScenarios } from './database.mjs';
import { instanceScenarios } from './instances.mjs';
import { networkScenarios } from './network.mjs';
import { oversizedScenarios } from './oversized.mjs';
import { poisonScenarios } from './poison.mjs';
import { processScenarios } from './process.mjs';
import { relayScenarios } from './relay.mjs';
import { topologyScenarios } from './topology.mjs';

/** Every scenario, in the order in which they run. */
export const scenarios = [
  ...consumerScenarios,
  ...instanceScenarios,
  ...poisonScenarios,
  ...relayScenarios,
  ...brokerScenarios,
  ...topologyScenarios,
  ...oversizedScenarios,
  ...booksScenarios,
  ...networkScenarios,
  ...databaseScenarios,
  ...processScenarios,
  ...clusterScenarios,
];
