// One reaction per event that does nothing but write its effect – or misbehave, if the event asks for it.
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import { EventsHandler } from '@nestjs/cqrs';
import { Closed, Credited, CreditedV2, Debited, Noted, Raised, type Entry } from '../contracts.js';
import { writeEffect } from '../effect.js';
import { failsAtRandom, misbehave } from '../misbehave.js';
import type { FaultsTables } from '../tables.js';

abstract class Recording {
  constructor(protected readonly database: Database<FaultsTables>) {}

  touches = () => [];

  async handle(event: Entry): Promise<void> {
    await misbehave(event, this.database);
    await writeEffect(this.database, 'Record');
  }
}

@EventsHandler(Credited)
export class RecordOnCredited extends Recording implements Reaction<Credited> {
  constructor(database: Database<FaultsTables>) {
    super(database);
  }
}

@EventsHandler(CreditedV2)
export class RecordOnCreditedV2 extends Recording implements Reaction<CreditedV2> {
  constructor(database: Database<FaultsTables>) {
    super(database);
  }
}

@EventsHandler(Debited)
export class RecordOnDebited extends Recording implements Reaction<Debited> {
  constructor(database: Database<FaultsTables>) {
    super(database);
  }
}

@EventsHandler(Raised)
export class RecordOnRaised extends Recording implements Reaction<Raised> {
  constructor(database: Database<FaultsTables>) {
    super(database);
  }
}

@EventsHandler(Closed)
export class RecordOnClosed extends Recording implements Reaction<Closed> {
  constructor(database: Database<FaultsTables>) {
    super(database);
  }
}

/** Of these, one in a hundred fails the first time – after it has written. */
@EventsHandler(Noted)
export class RecordOnNoted extends Recording implements Reaction<Noted> {
  constructor(database: Database<FaultsTables>) {
    super(database);
  }

  override async handle(event: Noted): Promise<void> {
    await super.handle(event);
    if (failsAtRandom('Record', event, 0.01)) throw new Error('fails at random');
  }
}
