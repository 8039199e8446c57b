// A timer that a browser does not slow down with the page: it beats in a
// Worker. Where there are no Workers it is a plain interval.

export class Ticker {
  #period;
  #beat;
  #worker = null;
  #interval = null;

  /** @param {number} period ms @param {() => void} beat */
  constructor(period, beat) {
    this.#period = period;
    this.#beat = beat;
  }

  start() {
    if (this.#worker || this.#interval !== null) return;
    try {
      this.#worker = new Worker('/app/beat.js');
      this.#worker.onmessage = () => this.#beat();
      this.#worker.onerror = () => this.#fallBack();
      this.#worker.postMessage(this.#period);
    } catch {
      this.#fallBack();
    }
  }

  stop() {
    this.#worker?.terminate();
    this.#worker = null;
    clearInterval(this.#interval);
    this.#interval = null;
  }

  #fallBack() {
    this.stop();
    this.#interval = setInterval(() => this.#beat(), this.#period);
  }
}
