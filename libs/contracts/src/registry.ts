import type { AnyEventClass } from './event.js';
import * as users from './users/index.js';

/** Every event there is, by name. A new owner adds its folder here. */
export const contracts: ReadonlyMap<string, AnyEventClass> = new Map(
  [users].flatMap((owner) => Object.values(owner)).map((contract) => [contract.type, contract]),
);

/** The contract with this name, if the version of the code that runs knows it. */
export const findContract = (type: string): AnyEventClass | undefined => contracts.get(type);
