import { parseFailpoints } from './failpoints.js';

describe('parseFailpoints', () => {
  it('reads names, actions, values and hits', () => {
    expect([...parseFailpoints('relay.afterConfirm=kill@3; relay.afterRead=pause:5000;x=throw')]).toEqual([
      ['relay.afterConfirm', { action: 'kill', value: 0, at: 3, hits: 0 }],
      ['relay.afterRead', { action: 'pause', value: 5000, at: 0, hits: 0 }],
      ['x', { action: 'throw', value: 0, at: 0, hits: 0 }],
    ]);
    expect(parseFailpoints('').size).toBe(0);
  });

  it.each(['relay.afterRead', 'relay.afterRead=explode', 'relay.afterRead=kill@', '=kill', 'a=constructor'])(
    'refuses "%s", which would test nothing',
    (text) => expect(() => parseFailpoints(text)).toThrow(/FAILPOINTS: ".*" is not <name>=<kill\|stop\|pause\|throw>/),
  );
});
