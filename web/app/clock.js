// The browser's clock and timers as one object, so that tests can bring their own.

/** @typedef {{now(): number, after(ms: number, f: () => void): any, cancel(id: any): void}} Clock */

/** @type {Clock} */
export const browserClock = {
  now: () => performance.now(),
  after: (ms, f) => setTimeout(f, ms),
  cancel: (id) => clearTimeout(id),
};
