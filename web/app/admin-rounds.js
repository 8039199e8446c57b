// Doing something again and again, while somebody looks.

const EVERY = 2000; // ms between rounds
const SHARE = 5; // a round that takes long is not done more often than a fifth of the time
const SLOWEST = 15_000; // ms

/**
 * Calls a job every two seconds, never twice at once. The job answers how long
 * to wait at least, in milliseconds, or Infinity to end it all.
 */
export class Rounds {
  #clock;
  #job;
  #timer = null;
  #running = false;
  #again = false;
  #stopped = true;

  constructor(clock, job) {
    this.#clock = clock;
    this.#job = job;
  }

  /** Does a round now, or one more as soon as the one that is on its way is done. */
  async now() {
    this.#stopped = false;
    this.#clear();
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    const begin = this.#clock.now();
    const wait = await this.#job();
    this.#running = false;
    const again = this.#again;
    this.#again = false;
    if (this.#stopped || wait === Infinity) return;
    if (again) return this.now();
    const took = this.#clock.now() - begin;
    this.#timer = this.#clock.after(Math.max(EVERY, wait, Math.min(SLOWEST, SHARE * took)), () => this.now());
  }

  stop() {
    this.#stopped = true;
    this.#again = false;
    this.#clear();
  }

  #clear() {
    if (this.#timer !== null) this.#clock.cancel(this.#timer);
    this.#timer = null;
  }
}
