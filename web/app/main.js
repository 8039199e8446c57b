// The page. Addresses: / menu, /play/<game> starts a room, /room/<room> joins one.
//
// Once a room is entered the address becomes /room/<room>: copied from the
// address bar it invites, reloaded it comes back into the same game and seat.
// What game it was travels in history.state, so that a room that has closed
// meanwhile offers to start the same game anew.
// What it shows of itself to tests, window.cloudretro, is told in embed.go.

import { originOf, parse, playPath, roomPath, socketURL } from './route.js';
import { browserClock } from './clock.js';
import { Peer } from './peer.js';
import { Session } from './session.js';
import { Settings, TabMemory, browserStorage, srtpMemory } from './settings.js';
import { Zones } from './zones.js';
import { explain, stays } from './reasons.js';
import { knock, signedOut } from './knock.js';

const MAX_ERRORS = 100;
const SIGN_IN_KEY = 'cloudretro.signin';
const SIGN_IN_PAUSE = 15000; // ms in which the page is not reloaded for that again
const FINAL = ['removed', 'elsewhere', 'gone', 'closed']; // errors after which the session cannot be taken up

const loaders = Object.freeze({
  menu: () => import('./menu.js'),
  play: () => import('./play.js'),
  stats: () => Promise.all([import('./stats.js'), import('./statsview.js')]),
});

class App {
  #root = document.getElementById('app');
  #settings = new Settings(browserStorage());
  #tab = new TabMemory(browserStorage('sessionStorage'));
  #others = []; // addresses of this site that hellos have named
  #session = null;
  #view = null;
  #turn = 0; // counts the pages shown; what was begun for an older one is dropped
  #last = null;
  errors = [];
  zones = new Zones({ tab: this.#tab, settings: this.#settings, base: location.href });

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
    if (this.#session) this.#others = this.#session.signal.addresses.slice(1);
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
    if (turn === this.#turn) this.#view = new Menu(this.#root, {
      go: (path) => this.#go(path), last: this.#last, zones: this.zones, signIn: () => this.#signIn(),
    });
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
      invite: route.invite, token: this.#tab.recall(route),
      again: route.room && before.game ? 'Start the game anew' : undefined,
    });
    const session = new Session({
      target, url: socketURL(location), clock: browserClock, makePeer: (options) => new Peer(options),
      srtp: srtpMemory(this.#settings, navigator.userAgent),
      others: this.#others, wish: () => this.zones.wish(),
    });
    this.#session = session;
    this.#watch(session, route);
    try {
      session.start();
    } catch (error) {
      session.abandon(error); // no WebRTC in this browser
    }
    if (route.game) this.zones.look();
    const { Play } = await loaders.play();
    if (turn !== this.#turn) return;
    this.#view = new Play(this.#root, session, this.#settings, this.#routes(route, session));
  }

  #watch(session, route) {
    session.addEventListener('state', ({ detail }) => {
      if (detail.state !== 'error') return;
      this.note(session.error.code, session.error.text);
      if (FINAL.includes(session.error.code)) this.#tab.forget();
      if (session.error.code === 'sign-in') this.#signIn();
    });
    session.addEventListener('token', ({ detail }) => {
      this.#tab.keep({ room: session.info.room || '', game: session.info.game || route.game || '', token: detail });
    });
    session.addEventListener('shut', async ({ detail }) => {
      if (await signedOut(detail) && !session.media) this.#signIn();
    });
    session.addEventListener('notice', ({ detail }) => detail.kind === 'error' && this.note('notice', detail.text));
  }

  // The server has the sign-in page at every address of ours while nobody is signed in.
  async #signIn() {
    if (!await knock([socketURL(location)])) return; // there would be no page at all
    if (Date.now() - (this.#tab.read(SIGN_IN_KEY) ?? 0) < SIGN_IN_PAUSE) return;
    this.#tab.write(SIGN_IN_KEY, Date.now());
    location.reload();
  }

  #routes(route, session) {
    const game = () => session.info.game || route.game || history.state?.game;
    const here = (relay) => {
      const room = session.info.room || route.room;
      if (!room) return playPath(route.game, relay);
      return roomPath(room, relay) + (route.invite && !session.info.room ? `#invite=${route.invite}` : '');
    };
    const change = (path) => {
      history.replaceState(history.state, '', path);
      this.#show();
    };
    return {
      leave: () => this.#leave(session),
      again: () => {
        const code = session.error?.code;
        const fresh = game() && !stays.includes(code);
        change(fresh ? playPath(game(), route.relay) : here(route.relay));
      },
      region: () => this.zones.choice,
      anywhere: () => {
        this.zones.choice = '';
        this.#tab.forget(); // the place in line was one of that region
        change(playPath(game(), route.relay));
      },
      relay: () => change(here(true)),
      direct: () => change(here(false)),
      // Where somebody else finds the room, even if our own server is gone.
      origin: () => (session.signal.state === 'ready' ? originOf(session.signal.url) : location.origin),
      entered: (info) => {
        const { view, invite } = parse(location);
        const before = history.state ?? {};
        if (view === 'menu' || !info.room) return;
        if (view === 'room' && !invite && before.room === info.room && before.player === info.player) return;
        history.replaceState({ room: info.room, game: info.game, player: info.player }, '', roomPath(info.room, route.relay));
      },
    };
  }

  #leave(session) {
    const { room, title } = session.info;
    if (!room) this.#tab.forget(); // a place in line
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
  get saved() { return app.session?.info.saved ?? 0; },
  get queue() { return app.session?.queue ?? null; },
  get members() { return app.session?.company.members ?? []; },
  get invitations() { return app.session?.company.invitations ?? []; },
  get host() { return app.session?.company.host ?? false; },
  get closed() { return app.session?.company.closed ?? false; },
  get coordinator() { return ['greeted', 'ready', 'refused'].includes(this.socket) ? app.session.signal.url : null; },
  get socket() { return app.session?.signal.state ?? null; },
  get zones() { return { list: app.zones.list, latencies: app.zones.latencies, choice: app.zones.choice }; },
  get geometry() { return app.session?.geometry ?? null; },
  get pc() { return app.session?.peer?.pc ?? null; },
  get video() { return document.querySelector('video'); },
  get error() { return app.error; },
  get errors() { return [...app.errors]; },
  get firstFrame() { return performance.getEntriesByName('first-frame')[0]?.startTime ?? null; },
  stats: statistics,
  sendControl: (message) => app.session?.sendControl(message) ?? false,
}) });
