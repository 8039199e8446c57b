// Bringing a lost path back: ICE restarts until media flow or patience is over.

const WAIT = 6000; // ms a new path may take before the next attempt
const GIVE_UP = 30000; // ms without media until the session is given up
const OFFER_TIMEOUT = 6000; // ms
const SERVERS_AGE = 30000; // ms from which on credentials of relays are asked for anew
const SERVERS_TIMEOUT = 1000; // ms

export class Repair {
  #clock;
  #signal;
  #on;
  #timer = null;
  #running = false;
  #lostAt = 0;
  #servers = [];
  #serversAt = 0;

  /**
   * @param {object} options
   * @param {import('./clock.js').Clock} options.clock
   * @param {import('./signal.js').Signal} options.signal
   * @param {object} options.on
   *   peer() the connection to restart, or null if that is not needed any more;
   *   gone(message) the server does not know the session; lost() it took too long
   */
  constructor({ clock, signal, on }) {
    this.#clock = clock;
    this.#signal = signal;
    this.#on = on;
  }

  /** The ICE servers that are known. */
  get servers() {
    return this.#servers;
  }

  set servers(servers) {
    this.#servers = Array.isArray(servers) ? servers : [];
    this.#serversAt = this.#clock.now();
  }

  /** Media have stopped: repair after a wait, at once if that is being done already. */
  begin(wait) {
    if (!this.#running) this.#lostAt = this.#clock.now();
    this.soon(this.#running ? 0 : wait);
  }

  soon(wait) {
    this.#clock.cancel(this.#timer);
    this.#timer = this.#clock.after(wait, () => this.#repair());
  }

  end() {
    this.#running = false;
    this.#clock.cancel(this.#timer);
  }

  async #repair() {
    if (!this.#on.peer()) return;
    this.#running = true;
    if (this.#clock.now() - this.#lostAt >= GIVE_UP) return this.#on.lost();
    this.soon(WAIT);
    if (this.#signal.state !== 'ready') return;
    try {
      await this.#refresh();
      const sdp = await this.#on.peer()?.restart();
      if (!sdp) return;
      const { data } = await this.#signal.request('offer', { sdp }, OFFER_TIMEOUT);
      await this.#on.peer()?.answer(data.sdp);
    } catch (error) {
      if (!this.#on.peer()) return;
      if (['not-found', 'denied'].includes(error.code)) this.#on.gone(error.message);
      else if (error.code === 'timeout') this.#signal.recycle(true); // another one may not be silent
    }
  }

  // The credentials of relays run out while a game goes on.
  async #refresh() {
    if (this.#clock.now() - this.#serversAt < SERVERS_AGE) return;
    try {
      const { data } = await this.#signal.request('servers', undefined, SERVERS_TIMEOUT);
      this.servers = data.iceServers;
      this.#on.peer()?.configure(this.#servers);
    } catch (error) {
      if (['lost', 'timeout'].includes(error.code)) throw error; // else it is a server that has none to give
    }
  }
}
