// Notices that nothing comes in any more. A browser says so itself only after some
// five seconds; a worker sends pictures and sound all the time. What is not a dead
// path is told apart: a worker with no pictures to send still answers on the control
// channel, and a page that was kept waiting itself (a stalled machine, the timers of
// a hidden tab) has looked too seldom to know. Nor does a browser tell that has never
// been seen to notice media; then its own word has to do.

const BEAT = 200; // ms between looks
const LATE = 2 * BEAT; // ms between looks from which on they say nothing
const ASK = 2; // looks without a sign of life until one is asked for, and again
const DEAD = 5; // looks without one until the path counts as dead

export class Silence {
  #clock;
  #on;
  #timer = null;
  #looked = 0;
  #pulse;
  #quiet = 0; // looks
  #known = false; // media have been seen to come
  #silent = false;

  /**
   * @param {object} options
   * @param {import('./clock.js').Clock} options.clock
   * @param {object} options.on
   *   pulse() what changes while media come in; ask() has the worker answer, which
   *   is told to heard(); change(silent) the path is dead, or not any more
   */
  constructor({ clock, on }) {
    this.#clock = clock;
    this.#on = on;
  }

  /** Begins to listen, or anew: there is a path. */
  start() {
    this.#quiet = 0;
    this.#silent = false;
    if (this.#timer !== null) return;
    this.#looked = this.#clock.now();
    this.#pulse = this.#on.pulse();
    this.#next();
  }

  stop() {
    this.#clock.cancel(this.#timer);
    this.#timer = null;
  }

  /** Something came from the worker, on whatever way. */
  heard() {
    this.#quiet = 0;
    this.#turn(false);
  }

  #next() {
    this.#timer = this.#clock.after(BEAT, () => {
      this.#next();
      this.#look();
    });
  }

  #look() {
    const [now, pulse] = [this.#clock.now(), this.#on.pulse()];
    const late = now - this.#looked > LATE;
    this.#looked = now;
    if (pulse !== this.#pulse) {
      this.#pulse = pulse;
      this.#known = true;
      return this.heard();
    }
    if (!this.#known) return;
    if (late) this.#quiet = 0;
    else if (++this.#quiet % ASK === 0) this.#on.ask();
    if (this.#quiet >= DEAD) this.#turn(true);
  }

  #turn(silent) {
    if (silent === this.#silent) return;
    this.#silent = silent;
    this.#on.change(silent);
  }
}
