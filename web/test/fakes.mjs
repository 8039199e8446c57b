// A clock one turns by hand, a socket one answers by hand, a peer without media.

export class FakeClock {
  #now = 0;
  #next = 0;
  #timers = new Map();

  now() { return this.#now; }

  after(ms, f) {
    this.#timers.set(++this.#next, { at: this.#now + ms, f });
    return this.#next;
  }

  cancel(id) { this.#timers.delete(id); }

  get pending() { return this.#timers.size; }

  /** Lets time pass; timers run in order, promises in between. */
  async pass(ms) {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const due = [...this.#timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.#now = Math.max(this.#now, due[1].at);
      due[1].f();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets all promises that can move, move. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class FakeSocket {
  sent = [];
  closed = false;

  send(text) {
    if (this.closed) throw new Error('closed');
    this.sent.push(JSON.parse(text));
  }

  close(code = 1006) {
    if (this.closed) return;
    this.closed = true;
    this.onclose?.({ code });
  }

  /** The network breaks, or the server says why it closes. */
  drop(code) { this.close(code); }

  say(type, data, id) { this.onmessage({ data: JSON.stringify({ v: 1, type, id, data }) }); }

  hello(token = 'first', more = {}) { this.say('hello', { session: 's', token, iceServers: [{ urls: ['turn:host'] }], ...more }); }

  /** The messages of a type so far. */
  of(type) { return this.sent.filter((m) => m.type === type); }

  /** Answers the newest request of a type. */
  answer(type, reply, data) { this.say(reply, data, this.of(type).at(-1).id); }
}

/** Makes sockets and keeps them: sockets() opens, sockets.all are those so far, sockets.urls where. */
export function socketFactory() {
  const open = (url) => {
    const socket = new FakeSocket();
    open.all.push(socket);
    open.urls.push(url);
    return socket;
  };
  open.all = [];
  open.urls = [];
  Object.defineProperty(open, 'last', { get: () => open.all.at(-1) });
  return open;
}

export class FakePeer {
  answers = [];
  candidates = [];
  servers = null;
  control = [];
  closed = false;
  restarts = 0;

  constructor({ relay, on }) {
    this.relay = relay;
    this.on = on;
  }

  async offer(servers) {
    this.servers = servers;
    return 'offer';
  }

  async restart() { return `restart ${++this.restarts}`; }
  async answer(sdp) { this.answers.push(sdp); }
  candidate(c) { this.candidates.push(c); }
  configure(servers) { this.servers = servers; }
  sendControl(m) { this.control.push(m); return true; }
  close() { this.closed = true; }
}
