// The path of a game's pictures, sound and input: whether it stands, and what is
// done when it does not.

import { Detour } from './detour.js';
import { Repair } from './repair.js';
import { Silence } from './silence.js';

const PATIENCE = 1000; // ms a disconnected path may come back by itself
const REASON_WAIT = 1500; // ms until a worker has said why it and the browser do not fit

export class Path {
  #clock;
  #on;
  #repair;
  #silence;
  #detour;
  #media = false;
  #had = false;

  /**
   * @param {object} options
   * @param {import('./clock.js').Clock} options.clock
   * @param {import('./signal.js').Signal} options.signal
   * @param {object} options.on
   *   peer() the connection, or null if the game is over; ask() has the worker say
   *   something on the control channel; change(first) media flow (for the first time)
   *   or have stopped; gone(message) the server does not know the session; lost()
   *   there is no path
   */
  constructor({ clock, signal, on }) {
    this.#clock = clock;
    this.#on = on;
    this.#repair = new Repair({ clock, signal, on: {
      peer: () => (this.#media ? null : on.peer()),
      gone: (message) => on.gone(message),
      lost: () => on.lost(),
    } });
    this.#silence = new Silence({ clock, on: {
      pulse: () => on.peer()?.pulse,
      ask: () => on.ask(),
      change: (silent) => this.#flow(!silent),
    } });
    this.#detour = new Detour({ clock, on: {
      peer: () => on.peer(),
      servers: () => this.servers,
      move: async (peer, servers) => this.#media && on.peer() === peer && this.#repair.move(peer, servers),
    } });
  }

  /** Whether media flow. */
  get media() { return this.#media; }

  /** Whether they ever did. */
  get had() { return this.#had; }

  /** The ICE servers that are known. */
  get servers() { return this.#repair.servers; }

  set servers(servers) { this.#repair.servers = servers; }

  /** The worker has answered: from here on the first path has its time. */
  begin() { this.#repair.first(); }

  /** Another connection takes the place of the one there was; begin() comes again. */
  renew() { this.#repair.end(); }

  /** What may have hindered has changed. */
  again() { this.#repair.again(); }

  /** Something came on the control channel. */
  heard() { this.#silence.heard(); }

  /** Takes a connectionState of the connection. */
  state(state) {
    if (state === 'connected') {
      this.#silence.start();
      return this.#flow(true);
    }
    const peer = this.#on.peer();
    this.#media = false;
    if (state === 'failed' && !this.#had && peer.reached) {
      this.#clock.after(REASON_WAIT, () => this.#on.peer() === peer && !this.#had && this.#on.lost());
    } else if (state === 'failed') this.#repair.begin(0);
    else if (state === 'disconnected' && this.#had) this.#repair.begin(PATIENCE);
    this.#on.change(false);
  }

  close() {
    this.#repair.end();
    this.#silence.stop();
    this.#detour.stop();
  }

  #flow(media) {
    const first = media && !this.#had;
    this.#media = media;
    this.#had ||= media;
    if (media) {
      this.#repair.end();
      this.#detour.look();
    } else this.#repair.begin(0);
    this.#on.change(first);
  }
}
