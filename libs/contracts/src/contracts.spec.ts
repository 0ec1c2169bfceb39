import { z } from 'zod';
import { contractOf, contracts, event, InvalidEventError, parseEventType, UserRegistered } from './index.js';

class Sample extends event('shop.thing.happened.v2', {
  subject: 'thingId',
  data: { thingId: z.string().min(1), count: z.int() },
  example: { thingId: 't1', count: 1 },
}) {}

describe('event()', () => {
  it('is class, schema and name in one', () => {
    const sample = new Sample({ thingId: 't1', count: 3 });
    expect({ ...sample }).toEqual({ thingId: 't1', count: 3 });
    expect(sample).toBeInstanceOf(Sample);
    expect(contractOf(sample)).toBe(Sample);
    const { type, owner, aggregate, fact, version, subject } = Sample;
    expect({ type, owner, aggregate, fact, version, subject }).toEqual({
      type: 'shop.thing.happened.v2',
      owner: 'shop',
      aggregate: 'shop.thing',
      fact: 'shop.thing.happened',
      version: 2,
      subject: 'thingId',
    });
  });

  it('names every wrong field', () => {
    const create = () => new Sample({ thingId: '', count: 1.5 });
    expect(create).toThrow(InvalidEventError);
    expect(create).toThrow(/thingId: .*count: /);
  });

  it('drops fields that it does not know, so that a producer may add some', () => {
    const data = { thingId: 't1', count: 1, extra: true };
    expect({ ...new Sample(data) }).toEqual({ thingId: 't1', count: 1 });
  });

  it.each(['users.registered.v1', 'Users.user.registered.v1', 'users.user.registered', 'users.user.registered.v0'])(
    'refuses the name %s',
    (name) => {
      expect(parseEventType(name)).toBeUndefined();
      expect(() => event(name, { subject: 'id', data: { id: z.string() }, example: { id: '1' } })).toThrow(
        /not <owner>/,
      );
    },
  );

  it('refuses an object that is no event', () => {
    expect(() => contractOf({ userId: '1' })).toThrow(/not an event/);
  });
});

describe('every contract', () => {
  it.each([...contracts.values()].map((contract) => [contract.type, contract] as const))('%s', (type, contract) => {
    expect(contract.type).toBe(type);
    expect(Object.keys(contract.schema.shape)).toContain(contract.subject);
    for (const field of contract.personal) expect(Object.keys(contract.schema.shape)).toContain(field);
    expect({ ...new contract(contract.example as never) }).toEqual(contract.example);
  });

  it('is in the registry', () => expect(contracts.get('users.user.registered.v1')).toBe(UserRegistered));
});
