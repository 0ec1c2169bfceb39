import { startServers } from '../test/faults/harness/servers.mjs';
import { runScenario } from '../test/faults/harness/run-scenario.mjs';
import { scenarios } from '../test/faults/scenarios/index.mjs';

const only = process.argv[2];
const servers = await startServers('shared');
for (const s of scenarios.filter((x) => !only || x.name.includes(only))) {
  const r = await runScenario(s, {
    servers,
    seed: 'x1',
    events: Number(process.argv[3] ?? 2000),
    onPhase: (p) => console.log(s.name, p),
  });
  console.log(r);
}
await servers.remove();
process.exit(0);
