// One game in this page, from the first hello to the last: signalling, the peer
// connection, and what to do when either is lost. No DOM.

import { Questions, alone, changes, company, learned, told } from './company.js';
import { Line } from './line.js';
import { Path } from './path.js';
import { Signal } from './signal.js';
import { explain, sentence } from './reasons.js';
import { socketOf } from './route.js';

const CLOSED_WAIT = 1500; // ms from the end of a connection to its reason
const OFFER_TIMEOUT = 6000; // ms
const SLOW = 6000; // ms of connecting after which one should be told why

/**
 * Events (all are Events with a `detail`):
 *   state   {state, phase}   state: connecting queued playing reconnecting error ended
 *   queue   {position, waiting} in line for a place, null when it is one's turn
 *   info    what is known of room and seat
 *   geometry  {width, height, aspect, rotation, fps}
 *   notice  {kind: 'info'|'error', text}
 *   peer    a new Peer, whose tracks are to be shown, or null
 *   company  what is known of the people in the room, see company.js
 *   token   what takes this session up again
 *   shut    the server answers, but takes no socket
 *   pong    {t}
 *   slow    connecting takes long; detail is the phase
 */
export class Session extends EventTarget {
  #target;
  #clock;
  #signal;
  #makePeer;
  #peer = null;
  #state = 'connecting';
  #phase = 'socket';
  #info = { room: '', game: '', title: '', system: '', player: 0, seats: 0, saved: 0 };
  #geometry = null;
  #company = alone;
  #questions;
  #line;
  #path;
  #wish;
  #error = null;
  #asked = false;
  #slowTimer = null;
  #srtp;
  #plain = false; // the connection asks for SHA1_80, see coordinator/signal

  /**
   * @param {object} options
   * @param {object} options.target
   *   game or room; player: the wished seat; invite: a token; token: of the session
   *   that this page had here before; relay
   * @param {string} options.url of the WebSocket
   * @param {string[]} [options.others] addresses to turn to
   * @param {import('./clock.js').Clock} options.clock
   * @param {(options: {relay: boolean, on: object}) => import('./peer.js').Peer} options.makePeer
   * @param {(options: object) => Signal} [options.makeSignal]
   * @param {{plain: boolean, learn: () => void}} [options.srtp] see srtpMemory
   * @param {() => Promise<{zone?: string, latencies?: object}>} [options.wish] where to start a game
   */
  constructor({
    target, url, others, clock, makePeer, makeSignal = (o) => new Signal(o), srtp = { plain: false, learn() {} },
    wish = async () => ({}),
  }) {
    super();
    this.#target = target;
    this.#clock = clock;
    this.#makePeer = makePeer;
    this.#srtp = srtp;
    this.#plain = srtp.plain;
    this.#wish = wish;
    this.#questions = new Questions(clock, (message) => this.sendControl(message));
    this.#signal = makeSignal({ url, others, clock, handlers: {
      state: (state) => this.#signalState(state),
      hello: (data) => this.#hello(data),
      refused: (error) => this.#refused(error),
      token: (token) => this.#emit('token', token),
      replaced: () => this.#fail('elsewhere', ''),
      shut: (at) => this.#emit('shut', at),
      message: (type, data) => this.#message(type, data),
    } });
    this.#helpers();
  }

  #helpers() {
    const [clock, signal] = [this.#clock, this.#signal];
    this.#line = new Line({
      clock, signal, start: async () => signal.request('start', { game: this.#target.game, ...await this.#wish() }), on: {
        enter: () => this.#stand(),
        place: (place) => this.#emit('queue', place),
        turn: ({ iceServers }) => this.#turn(iceServers),
        fail: (code, message) => this.#fail(code, message),
      },
    });
    this.#path = new Path({ clock, signal, on: {
      peer: () => (this.#over ? null : this.#peer),
      ask: () => this.sendControl({ type: 'ping', t: clock.now() }),
      change: (first) => this.#mediaChanged(first),
      gone: (message) => this.#fail('gone', message),
      lost: () => this.#lost(),
    } });
  }

  get state() { return this.#state; }
  get phase() { return this.#phase; }
  get info() { return this.#info; }
  get geometry() { return this.#geometry; }
  get error() { return this.#error; }
  get peer() { return this.#peer; }
  get target() { return this.#target; }
  get queue() { return this.#line.place; }
  get company() { return this.#company; }
  get media() { return this.#path.media; }
  get signal() { return this.#signal; }

  /** Begins: the socket opens while the offer is being made. */
  start() {
    if (this.#target.game && this.#target.token) this.#signal.bind(this.#target.token); // a place in line
    this.#signal.connect();
    this.#renewPeer();
    this.#slowAfter();
  }

  #slowAfter() {
    this.#clock.cancel(this.#slowTimer);
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
    this.#path.again();
  }

  /** @returns {boolean} whether it was sent */
  sendControl(message) {
    return this.#peer?.sendControl(message) ?? false;
  }

  /** Asks something of the room that it answers by a message. @returns {Promise<object>} */
  ask(message) {
    return this.#questions.ask(message);
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
    if (this.#over || !this.#path.had) return;
    if (this.#path.media && this.#signal.state === 'ready') this.#set('playing', null);
    else this.#set('reconnecting', this.#path.media ? 'socket' : 'path');
  }

  #dropPeer() {
    this.#peer?.close();
    this.#peer = null;
    this.#emit('peer', null);
  }

  #renewPeer() {
    this.#peer?.close();
    let peer = null;
    const ours = (f) => (...args) => { if (this.#peer === peer && !this.#over) f(...args); };
    peer = this.#makePeer({ relay: this.#target.relay, on: {
      state: ours((state) => this.#path.state(state)),
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
    if (state === 'ready' && this.queue) this.#line.rejoin();
    else if (state === 'ready' && !this.#path.had && !this.#asked) this.#ask();
    if (state === 'ready') this.#path.again();
    if (state === 'lost') this.#line.tear();
    if (state === 'lost' && !this.#path.had && !this.#asked) this.#set('connecting', 'socket');
    this.#judge();
  }

  #hello(data) {
    this.#path.servers = data.iceServers;
    const others = Array.isArray(data.alternates) ? data.alternates : [];
    this.#signal.know(others.map(socketOf).filter((url) => url.split(':')[0] === this.#signal.addresses[0].split(':')[0]));
    if (this.#asked) this.#peer?.configure(this.#path.servers);
  }

  // The first request. If the socket is lost meanwhile, all begins again.
  async #ask() {
    const peer = this.#peer;
    this.#asked = true;
    this.#set('connecting', 'asking');
    try {
      const { type, data } = await this.#request(peer);
      if (this.#over) return;
      if (type === 'queued') return this.#line.queued(data);
      this.#learn(data);
      this.#signal.bind(data.token);
      this.#set('connecting', 'path');
      await this.#accept(peer, data);
    } catch (error) {
      if (!this.#over && this.#peer === peer) this.#unasked(error);
    }
  }

  async #request(peer) {
    const { game, room, player, invite, token } = this.#target;
    const srtp = this.#plain ? 'sha1' : undefined;
    const [sdp, wish] = await Promise.all([peer.offer(this.#path.servers), game ? this.#wish() : {}]);
    if (game) return this.#signal.request('start', { game, sdp, srtp, ticket: this.#line.ticket || undefined, ...wish });
    return this.#signal.request('join', { room, player: token ? undefined : player, sdp, srtp, invite: invite || undefined, token });
  }

  #unasked(error) {
    const stale = !this.#target.game && this.#target.token && ['denied', 'expired'].includes(error.code);
    const missed = error.code === 'expired' && this.#line.missed();
    if (stale) this.#target = Object.freeze({ ...this.#target, token: undefined });
    if (error.code !== 'lost' && !stale && !missed) return this.#fail(error.code ?? 'browser', error.message);
    this.#asked = false;
    this.#renewPeer();
    if (this.#signal.state === 'ready') this.#ask();
  }

  // --- in line for a place

  #stand() {
    this.#dropPeer();
    this.#clock.cancel(this.#slowTimer);
    this.#set('queued', null);
  }

  #turn(iceServers) {
    if (iceServers) this.#path.servers = iceServers;
    this.#renewPeer();
    this.#slowAfter();
    this.#ask();
  }

  #accept(peer, answer) {
    this.#path.begin();
    return peer.answer(answer.sdp);
  }

  // The browser lacks AES-GCM. Our seat is kept for a new connection without.
  async #askPlain() {
    if (this.#plain || this.#path.had) return;
    this.#plain = true;
    this.#path.renew();
    this.#renewPeer();
    const peer = this.#peer;
    try {
      const sdp = await peer.offer(this.#path.servers);
      const { data } = await this.#signal.request('offer', { sdp, srtp: 'sha1' }, OFFER_TIMEOUT);
      if (!this.#over) await this.#accept(peer, data);
    } catch (error) {
      if (!this.#over) this.#fail(error.code === 'lost' ? 'no-path' : error.code ?? 'browser', error.message);
    }
  }

  #learn(news) {
    this.#info = learned(this.#info, news);
    this.#emit('info', this.#info);
  }

  #message(type, data) {
    if (this.#over) return;
    switch (type) {
      case 'candidate':
        return this.#peer?.candidate(data);
      case 'closed':
        if (data.code === 'lost') return this.#lost(); // the worker waits no longer than this page
        return this.#fail(['removed', 'elsewhere'].includes(data.code) ? data.code : 'closed', data.reason);
      case 'queued':
        return this.queue && this.#line.queued(data);
      case 'granted':
        return this.#line.granted(data);
      case 'error':
        if (data.code === 'version' || (this.queue && data.code !== 'bad-request')) return this.#fail(data.code, data.message);
        if (data.code === 'srtp') return this.#askPlain();
        return this.#emit('notice', { kind: 'error', text: sentence(data.message) || 'The server reported an error.' });
    }
  }

  #control(message) {
    this.#path.heard();
    switch (message.type) {
      case 'room':
        this.#meet(message);
        return this.#learn(message);
      case 'invited':
        return this.#questions.answer(message);
      case 'geometry':
        this.#geometry = Object.freeze({ ...message });
        return this.#emit('geometry', this.#geometry);
      case 'saved':
      case 'loaded':
        this.#learn({ saved: message.at });
        return this.#emit('notice', { kind: 'info', text: told(message, this.#company.you) });
      case 'message':
      case 'restarted':
        return message.text && this.#emit('notice', { kind: 'info', text: sentence(message.text) });
      case 'error':
        if (message.code === 'removed') return this.#fail('removed', message.message); // also while no server is there
        if (this.#questions.answer(message)) return;
        return this.#emit('notice', { kind: 'error', text: sentence(message.message ?? message.code) });
      case 'pong':
        return this.#emit('pong', message);
    }
  }

  #meet(news) {
    const before = this.#company;
    this.#company = company(before, news);
    if (this.#company === before) return;
    for (const text of changes(before, this.#company)) this.#emit('notice', { kind: 'info', text });
    this.#emit('company', this.#company);
  }

  #controlClosed() {
    // The worker ended the session and its reason travels by another road.
    this.#clock.after(CLOSED_WAIT, () => this.#fail('closed', 'The game has ended.'));
  }

  #mediaChanged(first) {
    if (first) {
      if (this.#plain) this.#srtp.learn();
      this.#clock.cancel(this.#slowTimer);
    }
    this.#judge();
  }

  // The server does not know us. While media flow that harms nobody; before a
  // game has begun, one begins anew.
  #refused(error) {
    if (this.#path.media || error.code === 'no-worker') return;
    if (!this.#info.room && error.code !== 'sign-in') return this.#signal.unbind();
    this.#fail(error.code === 'sign-in' ? error.code : 'gone', error.message);
  }

  #lost() {
    this.#fail(this.#path.had ? 'lost-path' : 'no-path', '');
  }

  #fail(code, message) {
    if (this.#over) return;
    this.#finish('error', explain(code, message, {
      join: !this.#target.game, relay: this.#target.relay, turn: this.#line.ticket !== '', invited: Boolean(this.#target.invite),
    }));
  }

  #finish(state, error) {
    this.#clock.cancel(this.#slowTimer);
    this.#path.close();
    this.#line.close();
    this.#error = error;
    this.#set(state, 'over');
    this.#signal.close(true);
    this.#peer?.close();
  }
}
