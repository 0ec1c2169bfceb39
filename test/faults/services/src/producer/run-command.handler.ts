import { Database, isUniqueViolation, type OpenTransaction, type Transaction } from '@app/database';
import { EventRefusedError, Outbox, Timers } from '@app/messaging';
import { ConflictProblem, UnprocessableProblem } from '@app/service';
import { Command, CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { setTimeout as sleep } from 'node:timers/promises';
import { producerEvents } from '../contracts.js';
import type { FaultsTables } from '../tables.js';
import type { CommandBody } from './run-command.controller.js';

/** Records events on one stream and writes the row that reactions write as well. Repeated, it does nothing. */
export class RunCommand extends Command<'done' | 'repeated'> {
  constructor(readonly body: CommandBody) {
    super();
  }
}

/** Commands that have swallowed an error once in this process. */
const swallowed = new Set<string>();

@CommandHandler(RunCommand)
export class RunCommandHandler implements ICommandHandler<RunCommand> {
  constructor(
    private readonly database: Database<FaultsTables>,
    private readonly outbox: Outbox,
    private readonly timers: Timers,
  ) {}

  async execute({ body }: RunCommand): Promise<'done' | 'repeated'> {
    const { id, accountId, pauseMs, mode } = body;
    if (mode === 'write-only') return this.#writeOnly(body);
    return this.database.transaction(async (tx) => {
      const { numInsertedOrUpdatedRows } = await tx
        .insertInto('commands')
        .values({ id, account_id: accountId })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows === 0n) return 'repeated';
      await changeBalance(tx, body).execute();
      await this.#record(tx, body);
      // Else what was recorded would go with COMMIT: never late, and never rolled back.
      if (pauseMs !== undefined || mode === 'roll-back') await tx.flush();
      if (pauseMs !== undefined) await sleep(pauseMs);
      if (mode === 'roll-back') throw new ConflictProblem('rolled back as asked');
      if (mode === 'swallow' && !swallowed.has(id)) {
        swallowed.add(id);
        await tx.query('select 1 / 0').catch(() => {}); // code that hides an error: nothing of this may be committed
      }
      return 'done';
    });
  }

  async #writeOnly(body: CommandBody): Promise<'done' | 'repeated'> {
    try {
      await this.database.transaction(async (tx) => {
        tx.executeLater(tx.insertInto('commands').values({ id: body.id, account_id: body.accountId }));
        tx.executeLater(changeBalance(tx, body));
        await this.#record(tx, body);
      });
      return 'done';
    } catch (error) {
      if (isUniqueViolation(error, 'commands_pkey')) return 'repeated';
      throw error;
    }
  }

  async #record(tx: OpenTransaction, { id, accountId, events }: CommandBody): Promise<void> {
    for (const [index, { name, amount, flag, paddingBytes, afterMs }] of events.entries()) {
      const Contract = producerEvents.find(({ type }) => type === `producer.${name}.v1` || type === `producer.${name}`);
      if (!Contract) throw new UnprocessableProblem(`no event ${name}`);
      const padding = paddingBytes === undefined ? undefined : 'x'.repeat(paddingBytes);
      const event = new Contract({ accountId, commandId: id, index, amount, flag, padding });
      if (afterMs !== undefined) await this.timers.set(tx, { afterMs }, event);
      else await this.outbox.add(tx, event).catch(refuse);
    }
  }
}

function changeBalance(tx: Transaction<FaultsTables>, { accountId, events }: CommandBody) {
  const delta = events.reduce((sum, { name, amount }) => sum + (signs[name] ?? 0) * amount, 0);
  return tx
    .insertInto('accounts')
    .values({ id: accountId, balance: delta, version: 1, receipts: 0 })
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((row) => ({
        balance: row('accounts.balance', '+', delta),
        version: row('accounts.version', '+', 1),
      })),
    );
}

const signs: Record<string, number> = { 'account.credited': 1, 'account.debited': -1 };

function refuse(error: unknown): never {
  if (error instanceof EventRefusedError) throw new UnprocessableProblem(error.message);
  throw error;
}
