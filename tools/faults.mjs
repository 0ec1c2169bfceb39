// `npm run test:faults`: hurts the system in every way we know and checks that nothing is lost, doubled or out of order.
import { main } from '../test/faults/harness/main.mjs';

await main(process.argv.slice(2));
