import { event } from '@app/contracts';
import { Database } from '@app/database';
import { BackboneModule } from '@app/service';
import { startTestService, type TestService } from '@app/testing';
import { Body, Controller, Module, Post } from '@nestjs/common';
import { z } from 'zod';
import { Outbox } from '../index.js';

class LetterWritten extends event('users.letter.written.v1', {
  subject: 'letterId',
  data: { letterId: z.string(), text: z.string() },
  example: { letterId: '1', text: 'Dear Bob' },
}) {}

@Controller('letters')
class WriteLetterController {
  constructor(
    private readonly database: Database,
    private readonly outbox: Outbox,
  ) {}

  @Post()
  async write(@Body() { letterId, times }: { letterId: string; times: number }): Promise<void> {
    await this.database.transaction(async (tx) => {
      await tx.query('insert into letters values ($1)', [letterId]);
      await this.outbox.add(tx, new LetterWritten({ letterId, text: 'x'.repeat(times) }));
    });
  }
}

@Module({ imports: [BackboneModule], controllers: [WriteLetterController] })
class LettersModule {}

describe('Outbox, when it refuses', () => {
  let service: TestService;
  let database: Database;
  let outbox: Outbox;

  beforeAll(async () => {
    service = await startTestService(LettersModule, 'users', { sql: 'create table letters (id text)' });
    database = service.app.get(Database);
    outbox = service.app.get(Outbox);
  });
  afterAll(() => service?.stop());

  const count = async () =>
    (
      await service.rows<{ events: number; letters: number }>(
        'select (select count(*)::int from messaging.events) as events, (select count(*)::int from letters) as letters',
      )
    )[0]!;

  it('refuses an event of more than 256 KiB: 413, and nothing of the request is kept', async () => {
    const before = await count();
    const response = await service.http('POST', '/letters', { letterId: 'long', times: 300_000 });
    expect(response.status).toBe(413);
    expect(response.body).toMatchObject({
      detail: expect.stringMatching(/users\.letter\.written\.v1 has 30\d{4} bytes/) as string,
    });
    expect(await count()).toEqual(before);
    expect((await service.http('POST', '/letters', { letterId: 'short', times: 200_000 })).status).toBe(201);
    expect(await count()).toEqual({ events: before.events + 1, letters: before.letters + 1 });
  });

  it('answers what is wrong in the code with 500, and keeps nothing', async () => {
    const before = await count();
    expect((await service.http('POST', '/letters', { letterId: '', times: 1 })).status).toBe(500);
    expect(await count()).toEqual(before);
  });

  it('refuses events of other services, and those without a subject', async () => {
    class Foreign extends event('orders.order.placed.v9', {
      subject: 'id',
      data: { id: z.string() },
      example: { id: '1' },
    }) {}
    const add = (given: object) => database.transaction((tx) => outbox.add(tx, given));
    await expect(add(new Foreign({ id: '1' }))).rejects.toThrow(/belongs to "orders"; "users" may not publish it/);
    await expect(add(new LetterWritten({ letterId: '', text: '' }))).rejects.toThrow(
      /"letterId" must be a text of 1–200/,
    );
  });
});
