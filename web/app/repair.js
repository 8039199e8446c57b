// Finding a path, at first or again: ICE restarts until media flow or patience is over.

const WAIT = 6000; // ms a new path may take before the next attempt
const FIRST_WAIT = 4500; // ms the first one may take
const PAUSE = 500; // ms between attempts of which nothing is left, longer with each
const SPACE = 3000; // ms from an attempt to the next one after a path that it found: a way that stalls and recovers
const GIVE_UP = 30000; // ms without media until the session is given up
const FIRST_GIVE_UP = 25000; // ms, less than a worker waits for a browser (worker/peer, firstPatience)
const OFFER_TIMEOUT = 6000; // ms
const SERVERS_AGE = 30000; // ms from which on credentials of relays are asked for anew
const SERVERS_TIMEOUT = 1000; // ms

export class Repair {
  #clock;
  #signal;
  #on;
  #timer = null;
  #running = false; // attempts are being made
  #first = false; // there was no path yet
  #end = 0; // of patience
  #tries = 0;
  #tried = -Infinity; // when
  #newest = 0; // offer
  #servers = [];
  #serversAt = 0;
  #spent = false; // an attempt was made with them

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
    this.#spent = false;
  }

  /**
   * The first path is being looked for. A new attempt may find what this one did
   * not: a relay does not hear of a new worker, nor a browser of a new relay, at once.
   */
  first() {
    this.end();
    this.#first = true;
    this.#end = this.#clock.now() + FIRST_GIVE_UP;
    this.soon(FIRST_WAIT);
  }

  /** There is no path: repair after a wait. With none, what is being tried has failed, too. */
  begin(wait) {
    if (!this.#running) {
      if (!this.#first) this.#end = this.#clock.now() + GIVE_UP;
      return this.soon(Math.max(wait, this.#tried + SPACE - this.#clock.now()));
    }
    if (wait === 0) this.soon(this.#tried + Math.min(this.#tries * PAUSE, WAIT) - this.#clock.now());
  }

  /** What may have hindered has changed: at once, if a path is wanted. */
  again() {
    if (this.#timer !== null) this.soon(0);
  }

  soon(wait) {
    this.#clock.cancel(this.#timer);
    const left = this.#end - this.#clock.now();
    this.#timer = this.#clock.after(Math.max(0, Math.min(wait, left)), () => this.#repair());
  }

  /** There is a path. */
  end() {
    this.#running = this.#first = false;
    this.#tries = 0;
    this.#clock.cancel(this.#timer);
    this.#timer = null;
  }

  /**
   * Looks for a path over these servers alone, while the one that there is carries on.
   * @returns {Promise<boolean>} whether the worker does the same
   */
  async move(peer, servers) {
    if (this.#signal.state !== 'ready') return false;
    try {
      await this.#restart(peer, servers);
      return true;
    } catch {
      return false; // the path is left to itself
    }
  }

  async #restart(peer, servers) {
    this.#spent = true;
    const offer = ++this.#newest;
    peer.configure(servers);
    const sdp = await peer.restart();
    const { data } = await this.#signal.request('offer', { sdp }, OFFER_TIMEOUT);
    // Also if the old path is back meanwhile: the worker has left it.
    if (offer === this.#newest) await peer.answer(data.sdp);
  }

  async #repair() {
    const peer = this.#on.peer();
    if (!peer) return;
    if (this.#clock.now() >= this.#end) return this.#on.lost();
    this.soon(WAIT);
    if (this.#first && peer.reached) return; // to begin anew would throw that away
    this.#running = true;
    this.#tried = this.#clock.now();
    this.#tries++;
    if (this.#signal.state !== 'ready') return;
    try {
      await this.#refresh();
      if (this.#on.peer() !== peer) return;
      await this.#restart(peer, this.#servers);
    } catch (error) {
      if (!this.#on.peer()) return;
      if (['not-found', 'denied'].includes(error.code)) this.#on.gone(error.message);
      else if (error.code === 'timeout') this.#signal.recycle(true); // another one may not be silent
    }
  }

  // The credentials of relays run out while a game goes on, and a gate bounds the
  // relays of each, of which a browser keeps those of all attempts before. Before
  // the first picture relays may have been found, or moved.
  async #refresh() {
    if (!this.#first && !this.#spent && this.#clock.now() - this.#serversAt < SERVERS_AGE) return;
    try {
      const { data } = await this.#signal.request('servers', undefined, SERVERS_TIMEOUT);
      this.servers = data.iceServers;
    } catch (error) {
      if (['lost', 'timeout'].includes(error.code)) throw error; // else it is a server that has none to give
    }
  }
}
