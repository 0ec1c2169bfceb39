import { brokerScenarios } from './broker.mjs';
import { consumerScenarios } from './consumer.mjs';
import { databaseScenarios } from './database.mjs';
import { instanceScenarios } from './instances.mjs';
import { networkScenarios } from './network.mjs';
import { poisonScenarios } from './poison.mjs';
import { processScenarios } from './process.mjs';
import { relayScenarios } from './relay.mjs';

/** Every scenario, in the order in which they run. */
export const scenarios = [
  ...consumerScenarios,
  ...instanceScenarios,
  ...poisonScenarios,
  ...relayScenarios,
  ...brokerScenarios,
  ...networkScenarios,
  ...databaseScenarios,
  ...processScenarios,
];
