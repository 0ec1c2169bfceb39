// A second inbox of the same service: a queue and a gate of its own.
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { Credited, CreditedV2, Raised } from '../contracts.js';
import { writeEffect } from '../effect.js';
import type { FaultsTables } from '../tables.js';

@EventsHandler(Credited)
export class AuditOnCredited implements Reaction<Credited> {
  readonly inbox = 'audit';
  constructor(private readonly database: Database<FaultsTables>) {}
  touches = () => [];
  handle = () => writeEffect(this.database, 'Audit');
}

@EventsHandler(CreditedV2)
export class AuditOnCreditedV2 implements Reaction<CreditedV2> {
  readonly inbox = 'audit';
  constructor(private readonly database: Database<FaultsTables>) {}
  touches = () => [];
  handle = () => writeEffect(this.database, 'Audit');
}

@EventsHandler(Raised)
export class AuditOnRaised implements Reaction<Raised> {
  readonly inbox = 'audit';
  constructor(private readonly database: Database<FaultsTables>) {}
  touches = () => [];
  handle = () => writeEffect(this.database, 'Audit');
}
