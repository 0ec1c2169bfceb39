import { money } from './money.js';

describe('money', () => {
  it.each([
    [2_375, 'EUR', '€23.75'],
    [0, 'EUR', '€0.00'],
    [123_456_789, 'USD', '$1,234,567.89'],
    [500, 'JPY', '¥500'],
    [1_234, 'KWD', 'KWD 1.234'],
    [100, 'XQZ', 'XQZ 1.00'],
  ])('%i %s is %s', (minor, currency, text) => expect(money(minor, currency).replaceAll('\u00a0', ' ')).toBe(text));
});
