import { readFileSync, readdirSync } from 'node:fs';

const TICKS = 100; // per second, on every Linux that we know

/** @param {number} pid @returns {{ parent: number, seconds: number } | undefined} */
function statOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
    return { parent: Number(fields[1]), seconds: ticks / TICKS };
  } catch {
    return undefined; // has ended meanwhile, or there is no /proc
  }
}

/**
 * CPU time of a process and its descendants, those that have ended included. Tells more than a clock on a machine that
 * others use as well.
 * @param {number | undefined} root
 * @returns {number | undefined}
 */
export function cpuSecondsOf(root) {
  if (root === undefined || !statOf(root)) return undefined;
  const all = readdirSync('/proc').flatMap((name) => {
    const stat = /^\d+$/.test(name) ? statOf(Number(name)) : undefined;
    return stat ? [{ pid: Number(name), ...stat }] : [];
  });
  const family = new Set([root]);
  for (let before = 0; before < family.size;) {
    before = family.size;
    for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
  }
  return all.filter(({ pid }) => family.has(pid)).reduce((sum, { seconds }) => sum + seconds, 0);
}

/** Seconds of processor time since the machine started: all there was, what was used, and what this run has used. */
export function cpuUse() {
  const ours = cpuSecondsOf(process.pid);
  if (ours === undefined) return undefined;
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const seconds = line
    .split(/\s+/)
    .slice(1)
    .map((ticks) => Number(ticks) / TICKS);
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0, stolen = 0] = seconds;
  const busy = user + nice + system + irq + softIrq + stolen;
  return { ours, busy, all: busy + idle + wait };
}
