// The page. Addresses: / menu, /play/<game> starts a room, /room/<room> joins one.
//
// Once a room is entered the address becomes /room/<room>: copied from the
// address bar it invites, reloaded it comes back into the same game and seat.
// What game it was travels in history.state, so that a room that has closed
// meanwhile offers to start the same game anew.
//
// For tests and tools, window.cloudretro (read only):
//   state     'menu' | 'connecting' | 'playing' | 'reconnecting' | 'error'
//   phase     what 'connecting' or 'reconnecting' waits for: socket asking path, else null
//   game, room, title, player, seats, geometry   what is known, or null
//   pc        the RTCPeerConnection, or null (always null in the menu)
//   video     the <video>, or null
//   error     the reason of 'error' {code, title, text, help}, or null
//   errors    everything that went wrong so far, oldest first: {code, message}
//   firstFrame  ms from the load of the page to the first picture of this game, or null
//   stats()   a Promise of the figures of the overlay, over one second
//   sendControl(object)  says something on the control channel; whether it could

import { parse, playPath, roomPath, socketURL } from './route.js';
import { browserClock } from './clock.js';
import { Peer } from './peer.js';
import { Session } from './session.js';
import { Settings, browserStorage, srtpMemory } from './settings.js';
import { explain } from './reasons.js';

const MAX_ERRORS = 100;

const loaders = Object.freeze({
  menu: () => import('./menu.js'),
  play: () => import('./play.js'),
  stats: () => Promise.all([import('./stats.js'), import('./statsview.js')]),
});

class App {
  #root = document.getElementById('app');
  #settings = new Settings(browserStorage());
  #session = null;
  #view = null;
  #turn = 0; // counts the pages shown; what was begun for an older one is dropped
  #last = null;
  errors = [];

  constructor() {
    window.addEventListener('popstate', () => this.#show());
    window.addEventListener('online', () => this.#session?.nudge());
    window.addEventListener('pagehide', () => this.#session?.leave());
    window.addEventListener('pageshow', (event) => event.persisted && location.reload());
    window.addEventListener('error', (event) => this.note('script', event.message));
    window.addEventListener('unhandledrejection', (event) => this.note('script', String(event.reason)));
    this.#show();
  }

  get session() { return this.#session; }

  get state() {
    const state = this.#session?.state;
    if (!state) return this.#view?.error ? 'error' : 'menu';
    return state === 'ended' ? 'menu' : state;
  }

  get error() { return this.#session?.error ?? this.#view?.error ?? null; }

  note(code, message) {
    this.errors.push(Object.freeze({ code, message }));
    if (this.errors.length > MAX_ERRORS) this.errors.shift();
  }

  #go(path, state = null) {
    history.pushState(state, '', path);
    this.#show();
  }

  #reset() {
    this.#session?.leave();
    this.#session = null;
    this.#view?.close();
    this.#view = null;
    return ++this.#turn;
  }

  #show() {
    const route = parse(location);
    const turn = this.#reset();
    if (route.view === 'menu') return this.#menu(turn);
    if (route.view === 'unknown') return this.#nowhere(turn);
    return this.#play(turn, route);
  }

  async #menu(turn) {
    const { Menu } = await loaders.menu();
    if (turn === this.#turn) this.#view = new Menu(this.#root, (path) => this.#go(path), this.#last);
  }

  async #nowhere(turn) {
    const error = explain('address');
    this.note(error.code, error.text);
    const { errorPanel } = await import('./panels.js');
    if (turn !== this.#turn) return;
    const panel = errorPanel(error, [{ label: 'Menu', href: '/', run: () => {} }]);
    const overlay = document.createElement('div');
    overlay.className = 'overlay alone';
    overlay.append(panel);
    this.#root.replaceChildren(overlay);
    this.#view = { error, close: () => this.#root.replaceChildren() };
  }

  // The connection is begun before its view is even loaded.
  async #play(turn, route) {
    const before = history.state ?? {};
    const target = Object.freeze({
      game: route.game, room: route.room, relay: route.relay,
      player: route.player || (before.room === route.room && before.player) || 0,
      again: route.room && before.game ? 'Start the game anew' : undefined,
    });
    const session = new Session({
      target, url: socketURL(location), clock: browserClock, makePeer: (options) => new Peer(options),
      srtp: srtpMemory(this.#settings, navigator.userAgent),
    });
    this.#session = session;
    this.#watch(session);
    try {
      session.start();
    } catch (error) {
      session.abandon(error); // no WebRTC in this browser
    }
    const { Play } = await loaders.play();
    if (turn !== this.#turn) return;
    this.#view = new Play(this.#root, session, this.#settings, this.#routes(route, session));
  }

  #watch(session) {
    session.addEventListener('state', ({ detail }) => {
      if (detail.state === 'error') this.note(session.error.code, session.error.text);
    });
    session.addEventListener('notice', ({ detail }) => detail.kind === 'error' && this.note('notice', detail.text));
  }

  #routes(route, session) {
    const game = () => session.info.game || route.game || history.state?.game;
    const here = (relay) => (session.info.room || route.room ? roomPath(session.info.room || route.room, relay) : playPath(route.game, relay));
    const change = (path) => {
      history.replaceState(history.state, '', path);
      this.#show();
    };
    return {
      leave: () => this.#leave(session),
      again: () => {
        const code = session.error?.code;
        const fresh = game() && !['lost-path', 'full', 'timeout'].includes(code);
        change(fresh ? playPath(game(), route.relay) : here(route.relay));
      },
      relay: () => change(here(true)),
      direct: () => change(here(false)),
      entered: (info) => {
        if (parse(location).view === 'menu') return;
        history.replaceState({ room: info.room, game: info.game, player: info.player }, '', roomPath(info.room, route.relay));
      },
    };
  }

  #leave(session) {
    const { room, title } = session.info;
    this.#last = room && session.state !== 'error' ? { room, title, left: Date.now() } : null;
    this.#go('/');
  }
}

const app = new App();

async function statistics() {
  const [{ summarise }, { sample }] = await loaders.stats();
  const before = await sample(app.session?.peer?.pc);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return summarise(await sample(app.session?.peer?.pc), before);
}

Object.defineProperty(window, 'cloudretro', { value: Object.freeze({
  get state() { return app.state; },
  get phase() { return ['connecting', 'reconnecting'].includes(app.state) ? app.session.phase : null; },
  get game() { return app.session?.info.game || null; },
  get room() { return app.session?.info.room || null; },
  get title() { return app.session?.info.title || null; },
  get player() { return app.session?.info.player ?? null; },
  get seats() { return app.session?.info.seats ?? null; },
  get geometry() { return app.session?.geometry ?? null; },
  get pc() { return app.session?.peer?.pc ?? null; },
  get video() { return document.querySelector('video'); },
  get error() { return app.error; },
  get errors() { return [...app.errors]; },
  get firstFrame() { return performance.getEntriesByName('first-frame')[0]?.startTime ?? null; },
  stats: statistics,
  sendControl: (message) => app.session?.sendControl(message) ?? false,
}) });
