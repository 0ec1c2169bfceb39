import { consumerScenarios } from './consumer.mjs';

/** Every scenario, in the order in which they run. */
export const scenarios = [...consumerScenarios];
