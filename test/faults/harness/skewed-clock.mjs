// Loaded into a service with --import: a clock that is wrong. FAULTS_CLOCK=<offset>:<after>:<offset>, all in seconds: the offset at
// first, and after so many seconds the other one. Only what JavaScript is told changes; time-outs take as long as ever.
const [first = 0, after = 0, then = 0] = (process.env.FAULTS_CLOCK ?? '').split(':').map(Number);
const RealDate = Date;
const started = RealDate.now();

const now = () => {
  const real = RealDate.now();
  return real + (real - started < after * 1_000 ? first : then) * 1_000;
};

globalThis.Date = class extends RealDate {
  /** @param {...any} args */
  constructor(...args) {
    if (args.length === 0) super(now());
    else super(.../** @type {[number]} */ (args));
  }

  static now() {
    return now();
  }
};
