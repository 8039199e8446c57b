// The WebSocket to a coordinator, whichever. It reconnects by itself and, once a
// session is bound, takes that session up again; media do not depend on it.
//
//   idle -> connecting -> greeted -> (bound: resuming ->) ready
//                 ^------------- lost <------- any
//
// greeted: the server said hello. ready: requests may be made. refused: the
// socket is there but the server does not know the session (any more).
//
// A lost socket is opened again at once where it was, then once at each other
// address. If none works, all are knocked at in rounds, and who answers is taken.

import { Backoff } from './backoff.js';
import { knock as knockAtAll } from './knock.js';

export const PROTOCOL = 1;
const HELLO_TIMEOUT = 8000; // ms
const REQUEST_TIMEOUT = 20000; // ms
const FIRST_TRY = 1500; // ms until hello while there are other addresses; doubles with each round
const AT_ONCE = 200; // ms at most before an attempt that nothing speaks against: all pages of a server come at once
const REFUSALS = 3; // of a resume until another address is tried
const MANY_ROUNDS = 40; // a minute or so
const MAX_QUEUE = 64; // messages that wait for a lost socket; the oldest are dropped
const MAX_ADDRESSES = 9;
const RESUMED_ELSEWHERE = 4001; // close code, see coordinator/socket.go
const LEAVING = [1001, 1012, 1013]; // close codes of a server that will not be back at once (RFC 6455, 7.4)
const ANSWERS = ['answer', 'resumed', 'queued', 'granted', 'servers', 'error'];

/** A request that was not done. `code` is a code of coordinator/signal, or one of lost, timeout. */
export class SignalError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'SignalError';
    this.code = code;
  }
}

export class Signal {
  #addresses;
  #at = 0; // of the addresses, the one in use
  #open;
  #knock;
  #random;
  #clock;
  #handlers;
  #backoff;
  #failures = 0; // attempts since a socket was ready
  #rounds = 0; // of knocking
  #refusals = 0;
  #answered = false; // the address in use has just answered a knock
  #socket = null;
  #state = 'idle';
  #token = '';
  #bound = false;
  #next = 0;
  #pending = new Map();
  #queue = [];
  #timer = null;

  /**
   * @param {object} options
   * @param {string} options.url
   * @param {string[]} [options.others] addresses that hellos before have named
   * @param {(url: string) => WebSocket} [options.open] makes a socket
   * @param {(urls: string[]) => Promise<string | null>} [options.knock] which one answers
   * @param {import('./clock.js').Clock} options.clock
   * @param {() => number} [options.random] for the back-off
   * @param {object} options.handlers
   *   state(state), hello({session, token, iceServers}), refused(SignalError) when a
   *   resume fails, token(token) of the bound session when it is a new one,
   *   message(type, data) for what nobody asked for, replaced() when the session goes
   *   on at another socket, shut(url) when a server that answers takes no socket
   */
  constructor({ url, others = [], open = (u) => new WebSocket(u), knock = knockAtAll, clock, random = Math.random, handlers }) {
    this.#addresses = [url];
    this.#open = open;
    this.#knock = knock;
    this.#clock = clock;
    this.#random = random;
    this.#handlers = handlers;
    this.#backoff = new Backoff({ random, most: 1500 });
    this.know(others);
  }

  get state() {
    return this.#state;
  }

  /** The address in use. */
  get url() {
    return this.#addresses[this.#at];
  }

  /** The address of the page's own server comes first. */
  get addresses() {
    return [...this.#addresses];
  }

  /** Adds addresses to turn to. */
  know(urls) {
    this.#addresses = [...new Set([...this.#addresses, ...urls])].slice(0, MAX_ADDRESSES);
  }

  /** Opens the socket; from then on it is kept open until close. */
  connect() {
    if (this.#socket || this.#state === 'closed') return;
    this.#clock.cancel(this.#timer);
    this.#set('connecting');
    let socket;
    try {
      socket = this.#open(this.url);
    } catch {
      return this.#lose(null);
    }
    this.#socket = socket;
    socket.onmessage = (event) => this.#socket === socket && this.#receive(event.data);
    socket.onclose = (event) => this.#lose(socket, event?.code);
    socket.onerror = () => {}; // a close follows
    this.#timer = this.#clock.after(this.#patience, () => this.recycle(true));
  }

  /** Gives the present socket up and connects anew, now; with `next` at another address, if there is one. */
  recycle(next = false) {
    if (this.#state === 'closed') return;
    const socket = this.#socket;
    if (!next) this.#backoff.reset();
    this.#lose(socket);
    socket?.close();
    if (!next) this.connect();
    else if (this.#failures === 1) this.#turn();
  }

  /** Remembers that a session runs: a later socket resumes it. */
  bind(token) {
    if (token) this.#keep(token);
    this.#bound = true;
  }

  /** Forgets the session: the one that this socket was greeted with is used. */
  unbind() {
    this.#bound = false;
    if (this.#state === 'refused') this.#ready();
  }

  /**
   * Asks and waits for the answer.
   * @returns {Promise<{type: string, data: object}>} the answer
   * @throws {SignalError}
   */
  request(type, data, timeout = REQUEST_TIMEOUT) {
    if (this.#state !== 'ready') return Promise.reject(new SignalError('lost', 'No connection to the server.'));
    return this.#ask(type, data, timeout);
  }

  /** Says something that has no answer; it waits for the socket if that is lost. */
  post(type, data) {
    if (this.#state === 'closed') return;
    // Its id keeps an error about it apart from errors about requests.
    const text = this.#envelope(type, `p${++this.#next}`, data);
    if (this.#state === 'ready') return this.#socket.send(text);
    this.#queue.push(text);
    if (this.#queue.length > MAX_QUEUE) this.#queue.shift();
  }

  /** Ends it. With `leave` the server is told that the session is over. */
  close(leave = false) {
    if (this.#state === 'closed') return;
    const socket = this.#socket;
    if (leave && socket && this.#state === 'ready') socket.send(this.#envelope('leave', '', undefined));
    this.#socket = null;
    this.#clock.cancel(this.#timer);
    this.#fail('lost', 'The connection was closed.');
    this.#set('closed');
    socket?.close();
  }

  #set(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.#handlers.state?.(state);
  }

  #envelope(type, id, data) {
    return JSON.stringify({ v: PROTOCOL, type, id: id || undefined, data });
  }

  #ask(type, data, timeout) {
    const id = `r${++this.#next}`;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeout, () => {
        this.#pending.delete(id);
        reject(new SignalError('timeout', 'The server did not answer in time.'));
      });
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.send(this.#envelope(type, id, data));
    });
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (!message || typeof message.type !== 'string') return;
    const data = message.data ?? {};
    if (message.v !== PROTOCOL) return this.#handlers.message?.('error', versionError(message.v));
    if (message.type === 'hello') return this.#greeted(data);
    if (this.#settle(message, data)) return;
    if (message.type === 'error' && message.id) return; // about a post: candidates may come too late
    this.#handlers.message?.(message.type, data);
  }

  // Answers carry the id of their request. One without is taken for the only
  // request there is: an unreadable request cannot be answered by its id.
  #settle(message, data) {
    if (!ANSWERS.includes(message.type)) return false;
    let id = message.id;
    if (!id && this.#pending.size === 1 && message.type === 'error') [id] = this.#pending.keys();
    const waiting = this.#pending.get(id);
    if (!waiting) return false;
    this.#pending.delete(id);
    this.#clock.cancel(waiting.timer);
    if (message.type === 'error') waiting.reject(new SignalError(data.code ?? 'failed', data.message ?? 'Something failed.'));
    else waiting.resolve({ type: message.type, data });
    return true;
  }

  #keep(token) {
    this.#token = token;
    this.#handlers.token?.(token);
  }

  // A hello may take its time on a slow way, but not while others may be faster.
  get #patience() {
    const many = this.#addresses.length;
    if (many === 1) return HELLO_TIMEOUT;
    return Math.min(HELLO_TIMEOUT, FIRST_TRY * 2 ** Math.floor(this.#failures / (many + 1)));
  }

  #turn() {
    this.#at = (this.#at + 1) % this.#addresses.length;
  }

  #greeted(data) {
    this.#clock.cancel(this.#timer);
    this.#set('greeted');
    this.#handlers.hello?.(data);
    if (this.#bound) return this.#resume();
    this.#token = data.token;
    this.#ready();
  }

  #ready() {
    this.#clock.cancel(this.#timer);
    this.#backoff.reset();
    this.#failures = this.#rounds = this.#refusals = 0;
    this.#set('ready');
    for (const text of this.#queue.splice(0)) this.#socket.send(text);
  }

  async #resume() {
    const socket = this.#socket;
    try {
      const { data } = await this.#ask('resume', { token: this.#token }, HELLO_TIMEOUT);
      if (this.#socket !== socket) return;
      if (data.token) this.#keep(data.token);
      this.#ready();
    } catch (error) {
      if (this.#socket !== socket) return;
      if (error.code === 'timeout') return this.recycle(true);
      this.#refused(error);
    }
  }

  // A coordinator that has just started may not know the worker yet: ask again.
  #refused(error) {
    this.#set('refused');
    this.#handlers.refused?.(error);
    if (this.#state !== 'refused') return;
    const next = ++this.#refusals % REFUSALS === 0 && this.#addresses.length > 1;
    this.#timer = this.#clock.after(this.#backoff.next(), () => (next ? this.recycle(true) : this.#resume()));
  }

  #lose(socket, code) {
    if (this.#state === 'closed' || socket !== this.#socket) return;
    const shut = this.#answered && this.#state === 'connecting' && this.url;
    this.#answered = false;
    this.#socket = null;
    this.#clock.cancel(this.#timer);
    if (code === RESUMED_ELSEWHERE) {
      this.#set('closed');
      this.#fail('lost', 'The session goes on elsewhere.');
      return this.#handlers.replaced?.();
    }
    this.#again(LEAVING.includes(code));
    this.#set('lost');
    this.#fail('lost', 'The connection to the server was lost.');
    if (shut) this.#handlers.shut?.(shut);
  }

  // Plans the next attempt.
  #again(leaving) {
    const first = this.#failures++ === 0;
    const many = this.#addresses.length;
    if (leaving || !first) this.#turn();
    if (this.#failures <= many && !(leaving && many === 1)) {
      this.#timer = this.#clock.after(AT_ONCE * this.#random(), () => this.connect());
    } else {
      this.#timer = this.#clock.after(this.#backoff.next(), () => this.#round());
    }
  }

  // Now and then one is tried although it is silent: a knock at another origin
  // may be held up where a socket is not. Rarer with time, see knock.js.
  async #round() {
    const timer = this.#timer;
    const url = await this.#knock(this.addresses);
    if (this.#state !== 'lost' || timer !== this.#timer) return;
    const round = this.#rounds++;
    const others = this.#addresses.length - 1;
    this.#answered = url !== null;
    if (url) this.#at = this.#addresses.indexOf(url);
    else if (others > 0) this.#at = 1 + (round >> 1) % others;
    if (url || round % (round < MANY_ROUNDS ? 2 : 8) === 0) return this.connect();
    this.#timer = this.#clock.after(this.#backoff.next(), () => this.#round());
  }

  #fail(code, message) {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, timer } of pending) {
      this.#clock.cancel(timer);
      reject(new SignalError(code, message));
    }
  }
}

function versionError(theirs) {
  return { code: 'version', message: `The server speaks protocol ${theirs}, this page ${PROTOCOL}. Reload the page.` };
}
