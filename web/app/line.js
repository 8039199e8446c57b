// A place in line for a machine that is free. No DOM.

const BEAT = 10000; // ms between looks whether the server still is there
const BEAT_TIMEOUT = 4000; // ms

export class Line {
  #clock;
  #signal;
  #start;
  #on;
  #place = null;
  #ticket = '';
  #torn = false;
  #beat = null;

  /**
   * @param {object} options
   * @param {import('./clock.js').Clock} options.clock
   * @param {import('./signal.js').Signal} options.signal
   * @param {() => Promise<{type: string, data: object}>} options.start asks for a place, without a connection
   * @param {object} options.on
   *   enter() on the first place, place({position, waiting} | null) on each and when it is
   *   one's turn, turn(granted), fail(code, message)
   */
  constructor({ clock, signal, start, on }) {
    this.#clock = clock;
    this.#signal = signal;
    this.#start = start;
    this.#on = on;
  }

  /** {position, waiting}, or null for who does not stand in line. */
  get place() {
    return this.#place;
  }

  /** Of the place that is held for us, '' for none. */
  get ticket() {
    return this.#ticket;
  }

  queued(data) {
    this.#signal.bind(data.token);
    const first = !this.#place;
    this.#place = Object.freeze({ position: data.position | 0, waiting: data.waiting | 0 });
    if (first) {
      this.#ticket = '';
      this.#on.enter();
      this.#beatSoon();
    }
    this.#on.place(this.#place);
  }

  granted(data) {
    if (!this.#place) return;
    this.close();
    this.#ticket = String(data.ticket ?? '');
    this.#torn = false;
    this.#on.place(null);
    this.#on.turn(data);
  }

  /** The socket is lost: who held our place may be gone. */
  tear() {
    this.#torn = true;
  }

  /** The ticket has run out. @returns {boolean} whether we are not to blame, and may ask without */
  missed() {
    const ours = this.#torn && this.#ticket !== '';
    if (ours) this.#ticket = '';
    return ours;
  }

  /** Tells another socket that we stand in line. */
  async rejoin() {
    try {
      const { type, data } = await this.#start();
      if (!this.#place) return;
      if (type === 'granted') this.granted(data);
      else this.queued(data);
    } catch (error) {
      this.#failed(error);
    }
  }

  close() {
    this.#clock.cancel(this.#beat);
    this.#place = null;
  }

  #failed({ code, message }) {
    if (this.#place && !['lost', 'timeout', 'bad-request'].includes(code)) this.#on.fail(code, message);
  }

  // A server that died without a word would keep us waiting for ever.
  #beatSoon() {
    this.#beat = this.#clock.after(BEAT, () => {
      this.#beatSoon();
      if (this.#signal.state !== 'ready') return;
      this.#signal.request('servers', undefined, BEAT_TIMEOUT).catch((error) => {
        if (error.code === 'timeout') this.#signal.recycle(true);
        else this.#failed(error);
      });
    });
  }
}
