// One game in this page, from the first hello to the last: signalling, the peer
// connection, and what to do when either is lost. No DOM.

import { Signal } from './signal.js';
import { explain, sentence } from './reasons.js';

const PATIENCE = 1000; // ms a disconnected path may come back by itself
const REPAIR_WAIT = 6000; // ms a new path may take before the next attempt
const GIVE_UP = 30000; // ms without media until the session is given up
const CLOSED_WAIT = 1500; // ms from the end of a connection to its reason
const OFFER_TIMEOUT = 6000; // ms
const FIRST_PATH = 15000; // ms the first path may take
const SLOW = 6000; // ms of connecting after which one should be told why

/**
 * Events (all are Events with a `detail`):
 *   state   {state, phase}   state: connecting playing reconnecting error ended
 *   info    what is known of room and seat
 *   geometry  {width, height, aspect, rotation, fps}
 *   notice  {kind: 'info'|'error', text}
 *   peer    a new Peer, whose tracks are to be shown
 *   pong    {t}
 *   slow    connecting takes long; detail is the phase
 */
export class Session extends EventTarget {
  #target;
  #clock;
  #signal;
  #makePeer;
  #peer = null;
  #iceServers = [];
  #state = 'connecting';
  #phase = 'socket';
  #info = { room: '', game: '', title: '', system: '', player: 0, seats: 0 };
  #geometry = null;
  #error = null;
  #media = false; // media flow now
  #hadMedia = false;
  #asked = false;
  #lostAt = 0;
  #repairTimer = null;
  #slowTimer = null;
  #repairing = false;
  #srtp;
  #plain = false; // the connection asks for SHA1_80, see coordinator/signal

  /**
   * @param {object} options
   * @param {{game?: string, room?: string, player?: number, relay: boolean}} options.target
   * @param {string} options.url of the WebSocket
   * @param {import('./clock.js').Clock} options.clock
   * @param {(options: {relay: boolean, on: object}) => import('./peer.js').Peer} options.makePeer
   * @param {(options: object) => Signal} [options.makeSignal]
   * @param {{plain: boolean, learn: () => void}} [options.srtp] see srtpMemory
   */
  constructor({ target, url, clock, makePeer, makeSignal = (o) => new Signal(o), srtp = { plain: false, learn() {} } }) {
    super();
    this.#target = target;
    this.#clock = clock;
    this.#makePeer = makePeer;
    this.#srtp = srtp;
    this.#plain = srtp.plain;
    this.#signal = makeSignal({ url, clock, handlers: {
      state: (state) => this.#signalState(state),
      hello: (data) => this.#hello(data),
      refused: (error) => this.#refused(error),
      message: (type, data) => this.#message(type, data),
    } });
  }

  get state() { return this.#state; }
  get phase() { return this.#phase; }
  get info() { return this.#info; }
  get geometry() { return this.#geometry; }
  get error() { return this.#error; }
  get peer() { return this.#peer; }
  get target() { return this.#target; }

  /** Begins: the socket opens while the offer is being made. */
  start() {
    this.#signal.connect();
    this.#renewPeer();
    this.#slowTimer = this.#clock.after(SLOW, () => this.#emit('slow', this.#phase));
  }

  /** Leaves the game; the session cannot be used again. */
  leave() {
    if (this.#over) return;
    this.#finish('ended', null);
  }

  /** Ends it because this browser cannot; `error` says how. */
  abandon(error) {
    this.#fail('browser', error?.message);
  }

  /** The network changed: do not wait for timers. */
  nudge() {
    if (this.#over) return;
    this.#signal.recycle();
    if (this.#hadMedia && !this.#media) this.#repairSoon(0);
  }

  /** @returns {boolean} whether it was sent */
  sendControl(message) {
    return this.#peer?.sendControl(message) ?? false;
  }

  get #over() {
    return this.#state === 'error' || this.#state === 'ended';
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #set(state, phase = this.#phase) {
    if (this.#over || (state === this.#state && phase === this.#phase)) return;
    this.#state = state;
    this.#phase = phase;
    this.#emit('state', { state, phase });
  }

  // What the two connections add up to.
  #judge() {
    if (this.#over || !this.#hadMedia) return;
    const whole = this.#media && this.#signal.state === 'ready';
    if (whole) this.#set('playing', null);
    else this.#set('reconnecting', this.#media ? 'socket' : 'path');
  }

  #renewPeer() {
    this.#peer?.close();
    let peer = null;
    const ours = (f) => (...args) => { if (this.#peer === peer && !this.#over) f(...args); };
    peer = this.#makePeer({ relay: this.#target.relay, on: {
      state: ours((state) => this.#peerState(state)),
      candidate: ours((candidate) => this.#signal.post('candidate', candidate)),
      control: ours((message) => this.#control(message)),
      controlOpen: ours(() => this.#emit('channel', 'control')),
      controlClosed: ours(() => this.#controlClosed()),
      inputOpen: ours(() => this.#emit('channel', 'input')),
    } });
    this.#peer = peer;
    this.#emit('peer', peer);
  }

  #signalState(state) {
    if (state === 'ready' && !this.#hadMedia && !this.#asked) this.#ask();
    if (state === 'ready' && this.#hadMedia && !this.#media) this.#repairSoon(0);
    if (state === 'lost' && !this.#hadMedia && !this.#asked) this.#set('connecting', 'socket');
    this.#judge();
  }

  #hello(data) {
    this.#iceServers = Array.isArray(data.iceServers) ? data.iceServers : [];
    if (this.#asked) this.#peer?.configure(this.#iceServers);
  }

  // The first request. If the socket is lost meanwhile, all begins again.
  async #ask() {
    const peer = this.#peer;
    this.#asked = true;
    this.#set('connecting', 'asking');
    try {
      const sdp = await peer.offer(this.#iceServers);
      const { game, room, player } = this.#target;
      const srtp = this.#plain ? 'sha1' : undefined;
      const answer = await (game
        ? this.#signal.request('start', { game, sdp, srtp })
        : this.#signal.request('join', { room, player, sdp, srtp }));
      if (this.#over) return;
      this.#signal.bind(answer.token);
      this.#learn(answer);
      this.#set('connecting', 'path');
      await this.#accept(peer, answer);
    } catch (error) {
      if (this.#over || this.#peer !== peer) return;
      if (error.code !== 'lost') return this.#fail(error.code ?? 'browser', error.message);
      this.#asked = false;
      this.#renewPeer();
      if (this.#signal.state === 'ready') this.#ask();
    }
  }

  // From here on the first path has its time.
  #accept(peer, answer) {
    this.#clock.cancel(this.#repairTimer);
    this.#repairTimer = this.#clock.after(FIRST_PATH, () => this.#fail('no-path', ''));
    return peer.answer(answer.sdp);
  }

  // The browser lacks AES-GCM. Our seat is kept for a new connection without.
  async #askPlain() {
    if (this.#plain || this.#hadMedia) return;
    this.#plain = true;
    this.#renewPeer();
    const peer = this.#peer;
    try {
      const sdp = await peer.offer(this.#iceServers);
      const answer = await this.#signal.request('offer', { sdp, srtp: 'sha1' }, OFFER_TIMEOUT);
      if (!this.#over) await this.#accept(peer, answer);
    } catch (error) {
      if (!this.#over) this.#fail(error.code === 'lost' ? 'no-path' : error.code ?? 'browser', error.message);
    }
  }

  #learn(news) {
    const info = { ...this.#info };
    for (const key of Object.keys(info)) if (news[key] !== undefined) info[key] = news[key];
    for (const key of ['players', 'viewers']) if (news[key] !== undefined) info[key] = news[key];
    this.#info = Object.freeze(info);
    this.#emit('info', this.#info);
  }

  #message(type, data) {
    if (this.#over) return;
    switch (type) {
      case 'candidate':
        return this.#peer?.candidate(data);
      case 'closed':
        return this.#fail('closed', data.reason);
      case 'error':
        if (data.code === 'version') return this.#fail(data.code, data.message);
        if (data.code === 'srtp') return this.#askPlain();
        return this.#emit('notice', { kind: 'error', text: sentence(data.message) || 'The server reported an error.' });
    }
  }

  #control(message) {
    switch (message.type) {
      case 'room':
        return this.#learn(message);
      case 'geometry':
        this.#geometry = Object.freeze({ ...message });
        return this.#emit('geometry', this.#geometry);
      case 'message':
      case 'restarted':
        return message.text && this.#emit('notice', { kind: 'info', text: sentence(message.text) });
      case 'error':
        return this.#emit('notice', { kind: 'error', text: sentence(message.message ?? message.code) });
      case 'pong':
        return this.#emit('pong', message);
    }
  }

  #controlClosed() {
    // The worker ended the session and its reason travels by another road.
    this.#clock.after(CLOSED_WAIT, () => this.#fail('closed', 'The game has ended.'));
  }

  #peerState(state) {
    this.#media = state === 'connected';
    if (this.#media) {
      if (!this.#hadMedia && this.#plain) this.#srtp.learn();
      this.#hadMedia = true;
      this.#repairing = false;
      this.#clock.cancel(this.#repairTimer);
      this.#clock.cancel(this.#slowTimer);
    } else if (state === 'failed' && !this.#hadMedia) {
      const peer = this.#peer; // unless the worker knows better, and what helps
      this.#clock.after(CLOSED_WAIT, () => this.#peer === peer && !this.#hadMedia && this.#fail('no-path', ''));
      return;
    } else if (this.#hadMedia && (state === 'disconnected' || state === 'failed')) {
      if (!this.#repairing) this.#lostAt = this.#clock.now();
      this.#repairSoon(state === 'failed' || this.#repairing ? 0 : PATIENCE);
    }
    this.#judge();
  }

  #repairSoon(wait) {
    this.#clock.cancel(this.#repairTimer);
    this.#repairTimer = this.#clock.after(wait, () => this.#repair());
  }

  // ICE restart, again and again until media flow or the patience is over.
  async #repair() {
    if (this.#over || this.#media) return;
    this.#repairing = true;
    if (this.#clock.now() - this.#lostAt >= GIVE_UP) return this.#fail('lost-path', '');
    this.#repairSoon(REPAIR_WAIT);
    if (this.#signal.state !== 'ready') return;
    try {
      const sdp = await this.#peer.restart();
      const answer = await this.#signal.request('offer', { sdp }, OFFER_TIMEOUT);
      if (!this.#over) await this.#peer.answer(answer.sdp);
    } catch (error) {
      if (this.#over || this.#media) return;
      if (['not-found', 'denied'].includes(error.code)) this.#fail('gone', error.message);
      else if (error.code === 'timeout') this.#signal.recycle();
    }
  }

  // The server does not know us. While media flow that harms nobody.
  #refused(error) {
    if (!this.#media && error.code !== 'no-worker') this.#fail('gone', error.message);
  }

  #fail(code, message) {
    if (this.#over) return;
    this.#finish('error', explain(code, message, { join: !this.#target.game, relay: this.#target.relay }));
  }

  #finish(state, error) {
    this.#clock.cancel(this.#repairTimer);
    this.#clock.cancel(this.#slowTimer);
    this.#error = error;
    this.#set(state, 'over');
    this.#signal.close(true);
    this.#peer?.close();
  }
}
