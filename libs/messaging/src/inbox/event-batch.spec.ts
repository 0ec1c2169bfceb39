import { EventBatch, NotHandedOnError } from './event-batch.js';

describe('EventBatch', () => {
  it('gives its events to whoever is handed the stand-in', () => {
    const events = [{ n: 1 }, { n: 2 }];
    const batch = new EventBatch(events);
    expect(EventBatch.behind(batch.standIn)!.take()).toEqual(events);
    expect(() => batch.check()).not.toThrow();
  });

  it('gives nothing to a method that hands its event on after it has ended', () => {
    const batch = new EventBatch([{ n: 1 }, { n: 2 }]);
    expect(() => batch.check()).toThrow(NotHandedOnError);
    expect(() => EventBatch.behind(batch.standIn)!.take()).toThrow(NotHandedOnError);
  });
});
