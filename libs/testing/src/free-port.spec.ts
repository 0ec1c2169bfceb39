import * as tools from '../../../tools/infrastructure/ports.mjs';
import { freePort } from './free-port.js';

describe.each([
  ['tests', freePort],
  ['tools', tools.freePort],
])('a free port for %s', (_, choose) => {
  it('is none of those for outgoing connections, and each time another one', async () => {
    const ports = await Promise.all(Array.from({ length: 50 }, choose));
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(20_000);
    expect(Math.max(...ports)).toBeLessThan(32_000);
    expect(new Set(ports).size).toBe(ports.length);
  });
});
