import { Module } from '@nestjs/common';
import { OpsDatabase } from './ops-database.js';
import { OpsParkedController } from './ops-parked.controller.js';
import { OpsStateController } from './ops-state.controller.js';
import { OpsStopController } from './ops-stop.controller.js';

/** `/ops`: what `npm run events` does, over HTTP. For callers on this machine who know `OPS_TOKEN`. */
@Module({
  controllers: [OpsStateController, OpsParkedController, OpsStopController],
  providers: [OpsDatabase],
})
export class OpsModule {}
