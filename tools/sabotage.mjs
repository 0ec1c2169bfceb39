// `npm run test:sabotage`: switches off one guard after the other and expects the fault suite to notice each time.
import { sabotage } from '../test/faults/harness/main.mjs';

await sabotage(process.argv.slice(2));
