// The WebSocket to a coordinator. It reconnects by itself and, once a session
// is bound, takes that session up again; media do not depend on it.
//
//   idle -> connecting -> greeted -> (bound: resuming ->) ready
//                 ^------------- lost <------- any
//
// greeted: the server said hello. ready: requests may be made. refused: the
// socket is there but the server does not know the session (any more).

import { Backoff } from './backoff.js';

export const PROTOCOL = 1;
const HELLO_TIMEOUT = 8000; // ms
const REQUEST_TIMEOUT = 20000; // ms
const MAX_QUEUE = 64; // messages that wait for a lost socket; the oldest are dropped

/** A request that was not done. `code` is a code of coordinator/signal, or one of lost, timeout. */
export class SignalError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'SignalError';
    this.code = code;
  }
}

export class Signal {
  #url;
  #open;
  #clock;
  #handlers;
  #backoff;
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
   * @param {(url: string) => WebSocket} [options.open] makes a socket
   * @param {import('./clock.js').Clock} options.clock
   * @param {() => number} [options.random] for the back-off
   * @param {object} options.handlers
   *   state(state), hello({session, token, iceServers}), refused(SignalError) when a
   *   resume fails, message(type, data) for what nobody asked for
   */
  constructor({ url, open = (u) => new WebSocket(u), clock, random, handlers }) {
    this.#url = url;
    this.#open = open;
    this.#clock = clock;
    this.#handlers = handlers;
    this.#backoff = new Backoff({ random });
  }

  get state() {
    return this.#state;
  }

  /** Opens the socket; from then on it is kept open until close. */
  connect() {
    if (this.#socket || this.#state === 'closed') return;
    this.#clock.cancel(this.#timer);
    this.#set('connecting');
    let socket;
    try {
      socket = this.#open(this.#url);
    } catch {
      return this.#lose(null);
    }
    this.#socket = socket;
    socket.onmessage = (event) => this.#socket === socket && this.#receive(event.data);
    socket.onclose = () => this.#lose(socket);
    socket.onerror = () => {}; // a close follows
    this.#timer = this.#clock.after(HELLO_TIMEOUT, () => this.recycle());
  }

  /** Gives the present socket up and connects anew, now. */
  recycle() {
    if (this.#state === 'closed') return;
    const socket = this.#socket;
    this.#backoff.reset();
    this.#lose(socket);
    socket?.close();
    this.connect();
  }

  /** Remembers that a session runs: a later socket resumes it. */
  bind(token) {
    if (token) this.#token = token;
    this.#bound = true;
  }

  /**
   * Asks and waits for the answer.
   * @returns {Promise<object>} the data of the answer
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
    if (!['answer', 'resumed', 'error'].includes(message.type)) return false;
    let id = message.id;
    if (!id && this.#pending.size === 1) [id] = this.#pending.keys();
    const waiting = this.#pending.get(id);
    if (!waiting) return false;
    this.#pending.delete(id);
    this.#clock.cancel(waiting.timer);
    if (message.type === 'error') waiting.reject(new SignalError(data.code ?? 'failed', data.message ?? 'Something failed.'));
    else waiting.resolve(data);
    return true;
  }

  #greeted(data) {
    this.#clock.cancel(this.#timer);
    this.#set('greeted');
    this.#handlers.hello?.(data);
    if (this.#bound) return this.#resume();
    this.#token = data.token;
    this.#backoff.reset();
    this.#ready();
  }

  #ready() {
    this.#set('ready');
    for (const text of this.#queue.splice(0)) this.#socket.send(text);
  }

  async #resume() {
    const socket = this.#socket;
    try {
      const resumed = await this.#ask('resume', { token: this.#token }, HELLO_TIMEOUT);
      if (this.#socket !== socket) return;
      this.#token = resumed.token || this.#token;
      this.#backoff.reset();
      this.#ready();
    } catch (error) {
      if (this.#socket !== socket) return;
      if (error.code === 'timeout') return this.recycle();
      this.#refused(error);
    }
  }

  // A coordinator that has just started may not know the worker yet: ask again.
  #refused(error) {
    this.#set('refused');
    this.#handlers.refused?.(error);
    if (this.#state !== 'refused') return;
    this.#timer = this.#clock.after(this.#backoff.next(), () => this.#resume());
  }

  #lose(socket) {
    if (this.#state === 'closed' || socket !== this.#socket) return;
    this.#socket = null;
    this.#clock.cancel(this.#timer);
    this.#timer = this.#clock.after(this.#backoff.next(), () => this.connect());
    this.#set('lost');
    this.#fail('lost', 'The connection to the server was lost.');
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
