// From a relay over TCP or TLS, where a lost packet holds up those behind it, to one
// over UDP. Browsers look for no more relays once they have a path, and one over TCP
// may be there first: Chromium's first datagram may go out 250 ms late, or be lost.

const SETTLE = 100; // ms until statistics know a new path
const CHECK = 2000; // ms a better path may take
const PAUSE = 60000; // ms between two attempts, longer with each: they cost some input

/** Those of these servers that are reached by datagrams. */
export function datagrams(servers) {
  const quick = (url) => !/^turns:|[?&]transport=tcp/i.test(url);
  return servers.map((server) => ({ ...server, urls: [server.urls].flat().filter(quick) })).filter(({ urls }) => urls.length > 0);
}

export class Detour {
  #clock;
  #on;
  #pause = PAUSE;
  #next = 0; // when another attempt may be made
  #settling = null;
  #checking = null;

  /**
   * @param {object} options
   * @param {import('./clock.js').Clock} options.clock
   * @param {object} options.on
   *   peer() the connection, or null; servers() the ICE servers; move(peer, servers) has
   *   it look for a path over these and says whether the worker has agreed
   */
  constructor({ clock, on }) {
    this.#clock = clock;
    this.#on = on;
  }

  /** There is a path, or another one. */
  look() {
    this.#clock.cancel(this.#settling);
    this.#settling = this.#clock.after(SETTLE, () => this.#look().catch(() => {})); // then the path stays
  }

  async #look() {
    const peer = this.#on.peer();
    const all = this.#on.servers();
    const quick = datagrams(all);
    if (!(await peer?.detour()) || this.#clock.now() < this.#next) return;
    this.#next = this.#clock.now() + this.#pause;
    this.#pause *= 2;
    if (!(await peer.reaches(quick)) || !(await this.#on.move(peer, quick))) return;
    this.#checking = this.#clock.after(CHECK, () => this.#check(peer, all).catch(() => {}));
  }

  async #check(peer, all) {
    if (await peer.detour(true)) await this.#on.move(peer, all);
  }

  stop() {
    this.#clock.cancel(this.#settling);
    this.#clock.cancel(this.#checking);
  }
}
