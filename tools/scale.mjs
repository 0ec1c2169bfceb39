// `npm run test:scale`: what the books and the timers cost in a large system; fails if it is more than was promised.
import { main } from '../test/scale/main.mjs';

await main(process.argv.slice(2));
