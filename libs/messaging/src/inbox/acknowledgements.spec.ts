import { IllegalOperationError, type Channel, type ConsumeMessage } from 'amqplib';
import { Acknowledgements } from './acknowledgements.js';

const message = (tag: number) => ({ fields: { deliveryTag: tag } }) as ConsumeMessage;
const channel = (ack = jest.fn()) => ({ ack }) as unknown as Channel & { ack: jest.Mock };

describe('Acknowledgements', () => {
  let acknowledgements: Acknowledgements;
  beforeEach(() => {
    jest.useFakeTimers();
    acknowledgements = new Acknowledgements();
  });
  afterEach(() => jest.useRealTimers());

  it('acknowledges what was done within 50 ms at once, up to the last of it', () => {
    const it_ = channel();
    for (const tag of [1, 2, 3]) acknowledgements.add(it_, message(tag), 1);
    jest.advanceTimersByTime(49);
    expect(it_.ack).not.toHaveBeenCalled();
    jest.advanceTimersByTime(1);
    expect(it_.ack.mock.calls).toEqual([[message(3), true]]);
    acknowledgements.add(it_, message(4), 1);
    jest.advanceTimersByTime(50);
    expect(it_.ack).toHaveBeenLastCalledWith(message(4), true);
    jest.advanceTimersByTime(1_000);
    expect(it_.ack).toHaveBeenCalledTimes(2);
  });

  it('does not let the broker wait for room', () => {
    const it_ = channel();
    acknowledgements.add(it_, message(31), 31);
    expect(it_.ack).not.toHaveBeenCalled();
    acknowledgements.add(it_, message(32), 1);
    expect(it_.ack.mock.calls).toEqual([[message(32), true]]);
    jest.advanceTimersByTime(1_000);
    expect(it_.ack).toHaveBeenCalledTimes(1);
  });

  it('acknowledges now if the channel is about to be closed, and never through another one', () => {
    const [old, next] = [channel(), channel()];
    acknowledgements.add(old, message(7), 1);
    acknowledgements.flush();
    expect(old.ack.mock.calls).toEqual([[message(7), true]]);
    acknowledgements.add(old, message(8), 1);
    acknowledgements.add(next, message(1), 1);
    expect(old.ack).toHaveBeenLastCalledWith(message(8), true);
    acknowledgements.flush();
    expect(next.ack.mock.calls).toEqual([[message(1), true]]);
    acknowledgements.flush();
    expect(next.ack).toHaveBeenCalledTimes(1);
  });

  it('does not mind a channel that is closed: what it had comes again', () => {
    const closed = channel(
      jest.fn(() => {
        throw new IllegalOperationError('Channel closed', '');
      }),
    );
    acknowledgements.add(closed, message(1), 1);
    expect(() => acknowledgements.flush()).not.toThrow();
    const broken = channel(
      jest.fn(() => {
        throw new TypeError('no');
      }),
    );
    acknowledgements.add(broken, message(1), 1);
    expect(() => acknowledgements.flush()).toThrow('no');
  });
});
