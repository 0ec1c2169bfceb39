// Reactions that are added to a service which has been running for a while, with and without a word about history.
import { Database } from '@app/database';
import type { Reaction } from '@app/messaging';
import type { Type } from '@nestjs/common';
import { EventsHandler } from '@nestjs/cqrs';
import { Noted } from '../contracts.js';
import { writeEffect } from '../effect.js';
import type { FaultsTables } from '../tables.js';

@EventsHandler(Noted)
class CountFromNowOnOnNoted implements Reaction<Noted> {
  readonly history = 'from now on';
  constructor(private readonly database: Database<FaultsTables>) {}
  touches = () => [];
  handle = () => writeEffect(this.database, 'CountFromNowOn');
}

@EventsHandler(Noted)
class CountFromTheBeginningOnNoted implements Reaction<Noted> {
  readonly inbox = 'count';
  constructor(private readonly database: Database<FaultsTables>) {}
  touches = () => [];
  handle = () => writeEffect(this.database, 'CountFromTheBeginning');
}

@EventsHandler(Noted)
class CountUndeclaredOnNoted implements Reaction<Noted> {
  constructor(private readonly database: Database<FaultsTables>) {}
  touches = () => [];
  handle = () => writeEffect(this.database, 'CountUndeclared');
}

/** By the value of FAULTS_LATE. */
export const lateReactions: Record<string, Type<Reaction<Noted>>> = {
  'from-now-on': CountFromNowOnOnNoted,
  'from-the-beginning': CountFromTheBeginningOnNoted,
  undeclared: CountUndeclaredOnNoted,
};
