// A clock one turns by hand, a socket one answers by hand, a peer without media, and a
// session of them.

import { Session } from '../app/session.js';
import { Signal } from '../app/signal.js';

export class FakeClock {
  #now = 0;
  #next = 0;
  #timers = new Map();
  slow = 0; // ms that a timer takes at least

  now() { return this.#now; }

  after(ms, f) {
    this.#timers.set(++this.#next, { at: this.#now + Math.max(ms, this.slow), f });
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
  reached = false;
  silent = false;
  over = 'udp'; // how its relay is reached
  knows = false; // a relay over UDP, too
  open = false; // UDP leads to a gate
  asked = []; // servers that were looked for
  #beats = 0;

  constructor({ relay, on }) {
    this.relay = relay;
    this.on = on;
  }

  async offer(servers) {
    this.servers = servers;
    return 'offer';
  }

  get pulse() { return this.silent ? this.#beats : ++this.#beats; }
  async restart() { return `restart ${++this.restarts}`; }
  async answer(sdp) { this.answers.push(sdp); }
  candidate(c) { this.candidates.push(c); }
  configure(servers) { this.servers = servers; }
  async detour(settled) { return this.over !== 'udp' && (Boolean(settled) || !this.knows); }
  async reaches(servers) { this.asked.push(servers); return this.open; }
  sendControl(m) { this.control.push(m); return true; }
  close() { this.closed = true; }
}

/** What a worker answers to a start. */
export const answer = { sdp: 'answer', room: 'r', game: 'quad', title: 'Quad', system: 'nes', player: 1, seats: 2, token: 'bound' };

/** A session that has just begun. */
export function begin(target = { game: 'quad', relay: false }, srtp = undefined) {
  const clock = new FakeClock();
  const open = socketFactory();
  const peers = [];
  const seen = { states: [], notices: [], geometry: [], slow: [], channels: [] };
  const session = new Session({
    target, url: 'ws://x/ws', clock, srtp,
    makePeer: (options) => { peers.push(new FakePeer(options)); return peers.at(-1); },
    makeSignal: (options) => new Signal({ ...options, open, random: () => 1, knock: async () => null }),
  });
  session.addEventListener('state', ({ detail }) => seen.states.push(`${detail.state} ${detail.phase}`));
  session.addEventListener('notice', ({ detail }) => seen.notices.push(detail));
  session.addEventListener('slow', ({ detail }) => seen.slow.push(detail));
  session.addEventListener('channel', ({ detail }) => seen.channels.push(detail));
  session.start();
  return { clock, open, peers, seen, session, get peer() { return peers.at(-1); } };
}

/** A session whose game plays. */
export async function playing(target) {
  const it = begin(target);
  it.open.last.hello();
  await settle();
  it.open.last.answer(target?.room ? 'join' : 'start', 'answer', answer);
  await settle();
  it.peer.on.state('connected');
  return it;
}
