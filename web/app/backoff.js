// Waiting times between attempts. Pure but for the random source, which is given.

/**
 * Exponential back-off with jitter: each wait is between half of and the whole
 * of a ceiling that doubles from `first` to `most` (milliseconds).
 */
export class Backoff {
  #first;
  #most;
  #random;
  #ceiling;

  constructor({ first = 200, most = 5000, random = Math.random } = {}) {
    this.#first = first;
    this.#most = most;
    this.#random = random;
    this.#ceiling = first;
  }

  /** The next wait in milliseconds. */
  next() {
    const ceiling = this.#ceiling;
    this.#ceiling = Math.min(this.#most, ceiling * 2);
    return ceiling / 2 + (ceiling / 2) * this.#random();
  }

  /** It worked: begin again with short waits. */
  reset() {
    this.#ceiling = this.#first;
  }
}
