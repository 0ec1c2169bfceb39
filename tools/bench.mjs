// `npm run bench`: measures this system beside what a Nest user would otherwise have.
import { main } from '../bench/harness/main.mjs';

await main(process.argv.slice(2));
