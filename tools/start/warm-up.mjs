// For `node --import`: loads the modules of a service while its servers still start, which is most of what its own start takes.
// The rest of its environment comes as a message; only then does it begin.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const entry = process.argv[1] ?? '';
const rest = new Promise((resolve) => process.once('message', resolve));
const module = path.join(path.dirname(entry), `${process.env.WARM_UP}.module.js`);
await import(pathToFileURL(module).href).catch(() => {}); // if something is wrong with it, its own start says so
process.send?.('warm');
Object.assign(process.env, await rest);
delete process.env.WARM_UP;
process.disconnect();
