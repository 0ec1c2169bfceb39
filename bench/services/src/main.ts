// The services of the benchmark, built from the same libraries as the real ones. BENCH_SERVICE chooses which: `maker` takes
// commands, `taker…` reacts; `stock-maker` and `stock-taker` are what a Nest user would have otherwise; `users` and `orders`
// are the real ones, `bare-users` is the one that tells nobody.
import 'reflect-metadata';
import './contracts.js';
import { projectFolder } from '@app/database';
import { messagingMigrations } from '@app/messaging';
import { bootstrap } from '@app/service';
import { MakerModule } from './maker/maker.module.js';
import { runStock } from './stock/stock.js';
import { TakerModule } from './taker/taker.module.js';
import { BareUsersModule } from './users/bare-users.module.js';

const service = process.env.BENCH_SERVICE ?? 'maker';
const about = { port: 0, title: service, description: 'A service of the benchmark.' };

if (service === 'users') await import('../../../apps/users/src/main.js');
else if (service === 'orders') await import('../../../apps/orders/src/main.js');
else if (service === 'bare-users') await bootstrap({ ...about, service: 'users', module: BareUsersModule });
else if (service.startsWith('stock')) await runStock(service);
else
  await bootstrap({
    ...about,
    service,
    module: service === 'maker' ? MakerModule : TakerModule.with(process.env.BENCH_REACTION),
    migrations: [messagingMigrations, { name: 'bench', folder: projectFolder('bench', 'services', 'migrations') }],
  });
