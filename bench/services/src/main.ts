// The services of the benchmark, built from the same libraries as the real ones. BENCH_SERVICE chooses which: `maker` takes
// commands, `taker…` reacts; `stock-maker` and `stock-taker` are what a Nest user would have otherwise.
import 'reflect-metadata';
import './contracts.js';
import { projectFolder } from '@app/database';
import { messagingMigrations } from '@app/messaging';
import { bootstrap } from '@app/service';
import { MakerModule } from './maker/maker.module.js';
import { runStock } from './stock/stock.js';
import { TakerModule } from './taker/taker.module.js';

const service = process.env.BENCH_SERVICE ?? 'maker';

if (service.startsWith('stock')) await runStock(service);
else
  await bootstrap({
    service,
    port: 0,
    title: service,
    description: 'A service of the benchmark.',
    module: service === 'maker' ? MakerModule : TakerModule.with(process.env.BENCH_REACTION),
    migrations: [messagingMigrations, { name: 'bench', folder: projectFolder('bench', 'services', 'migrations') }],
  });
