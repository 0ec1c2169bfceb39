import type { AnyEventClass } from './event.js';
import * as orders from './orders/index.js';
import * as users from './users/index.js';

const registry = new Map<string, AnyEventClass>();

/**
 * Makes events known that are declared outside of this library, such as those of a service in another repository.
 *
 * @throws Error if two different contracts claim one name
 */
export function registerContracts(classes: readonly AnyEventClass[]): void {
  for (const contract of classes) {
    const known = registry.get(contract.type);
    if (known && known !== contract) throw new Error(`Two contracts claim the name ${contract.type}.`);
    registry.set(contract.type, contract);
  }
}

// A new owner adds its folder here.
for (const owner of [users, orders]) registerContracts(Object.values(owner));

/** Every event there is, by name. */
export const contracts: ReadonlyMap<string, AnyEventClass> = registry;

/** The contract with this name, if the version of the code that runs knows it. */
export const findContract = (type: string): AnyEventClass | undefined => registry.get(type);
