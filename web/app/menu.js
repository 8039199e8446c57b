// The menu: the games there are, by system. It holds no connection to anyone.

import { h, replace, s } from './dom.js';
import { icon } from './icons.js';
import { paint } from './cover.js';
import { pathOf } from './pixelfont.js';
import { playPath, roomPath } from './route.js';
import { group, validGames } from './systems.js';
import { Navigator } from './navigate.js';

const REFRESH = 5000; // ms between looks at the list
const GRACE = 30000; // ms a room stays after its last player left
const SEARCH_FROM = 6; // games from which a search box is worth its place

/** The name of the project in our own letters. */
export function wordmark() {
  return s('svg', { class: 'wordmark', viewBox: '0 0 59 5', role: 'img', 'aria-label': 'CloudRetro', 'shape-rendering': 'crispEdges' },
    s('path', { d: pathOf('CLOUD'), fill: 'currentColor' }),
    s('path', { d: pathOf('RETRO'), class: 'accent', transform: 'translate(30 0)' }));
}

export class Menu {
  #root;
  #go;
  #last;
  #games = null;
  #raw = '';
  #failed = false;
  #search = '';
  #timer = null;
  #abort = new AbortController();
  #list = h('div', { class: 'shelves' });
  #status = h('p', { class: 'visually-hidden', role: 'status' });
  #region = h('label', { class: 'region', hidden: true });
  #zones;
  #signIn;
  #navigator;
  #observer;

  /**
   * @param {HTMLElement} root
   * @param {object} options
   * @param {(path: string) => void} options.go opens another page of this site
   * @param {{room: string, title: string, left: number} | null} options.last the room one has just left
   * @param {import('./zones.js').Zones} options.zones
   * @param {() => void} options.signIn the server wants to know who we are
   */
  constructor(root, { go, last, zones, signIn }) {
    this.#root = root;
    this.#go = go;
    this.#last = last;
    this.#zones = zones;
    this.#signIn = signIn;
    this.#observer = new IntersectionObserver((seen) => this.#paintSeen(seen), { rootMargin: '200px' });
    document.title = 'CloudRetro';
    replace(root, this.#frame());
    this.#navigator = new Navigator(root);
    this.#draw();
    this.#refresh();
    this.#showRegion();
    zones.look().then(() => this.#showRegion());
    document.addEventListener('visibilitychange', () => !document.hidden && this.#refresh(), { signal: this.#abort.signal });
  }

  close() {
    this.#abort.abort();
    clearTimeout(this.#timer);
    this.#observer.disconnect();
    this.#navigator.close();
    replace(this.#root);
  }

  #frame() {
    const input = h('input', {
      type: 'search', id: 'search', placeholder: 'Find a game', autocomplete: 'off', spellcheck: 'false',
      'aria-label': 'Find a game', 'data-search': true,
      oninput: () => { this.#search = input.value; this.#draw(); },
    });
    return h('div', { class: 'menu' },
      h('header', { class: 'masthead' },
        h('h1', {}, wordmark()),
        this.#region,
        h('label', { class: 'search', for: 'search' }, icon('search'), input, h('kbd', { 'aria-hidden': 'true' }, '/'))),
      this.#banner(),
      h('main', { 'aria-label': 'Games' }, this.#list),
      this.#status,
      h('footer', { class: 'colophon' },
        h('span', {}, h('kbd', {}, '↑'), h('kbd', {}, '↓'), h('kbd', {}, '←'), h('kbd', {}, '→'), ' choose'),
        h('span', {}, h('kbd', {}, 'Enter'), ' play'),
        h('span', {}, 'or use a game pad')));
  }

  // Where games are to run; of a single region nothing need be said.
  #showRegion() {
    const { list, latencies, choice } = this.#zones;
    this.#region.hidden = list.length < 2;
    if (list.length < 2) return;
    const far = (name) => (Object.hasOwn(latencies, name) ? `${name}, ${latencies[name]} ms` : name);
    const option = (value, text) => h('option', { value, selected: value === choice }, text);
    const nearest = Object.hasOwn(latencies, list[0].name) ? `nearest (${far(list[0].name)})` : 'nearest';
    const select = h('select', { id: 'region', 'aria-label': 'Region', 'data-nav': true, onchange: () => { this.#zones.choice = select.value; } },
      option('', nearest), ...list.map(({ name }) => option(name, far(name))));
    replace(this.#region, h('span', { 'aria-hidden': 'true' }, 'Region'), select);
  }

  // The way back into a game that was left by mistake.
  #banner() {
    const left = this.#last ? GRACE - (Date.now() - this.#last.left) : 0;
    if (left <= 0) return null;
    const banner = h('p', { class: 'banner' },
      h('span', {}, `${this.#last.title || 'The game'} waits for you a little longer.`),
      this.#link(roomPath(this.#last.room), { class: 'button primary', 'data-nav': true }, 'Go back'));
    setTimeout(() => banner.remove(), left);
    return banner;
  }

  #link(path, props, ...children) {
    return h('a', { href: path, ...props, onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      this.#go(path);
    } }, ...children);
  }

  async #refresh() {
    clearTimeout(this.#timer);
    const { signal } = this.#abort;
    if (signal.aborted) return;
    this.#timer = setTimeout(() => !document.hidden && this.#refresh(), REFRESH);
    try {
      const response = await fetch('/api/games', { signal, headers: { accept: 'application/json' } });
      if (response.status === 401) this.#signIn();
      if (!response.ok) throw new Error(String(response.status));
      const raw = await response.text();
      if (signal.aborted) return;
      if (raw === this.#raw && !this.#failed) return;
      this.#games = validGames(JSON.parse(raw));
      this.#raw = raw;
      this.#failed = false;
    } catch {
      if (signal.aborted || this.#failed) return;
      this.#failed = true;
    }
    this.#draw();
  }

  #draw() {
    const focused = document.activeElement?.dataset?.game;
    const games = this.#games;
    this.#root.firstElementChild?.classList.toggle('few', (games?.length ?? 0) < SEARCH_FROM && !this.#search);
    this.#observer.disconnect();
    if (!games || games.length === 0) {
      replace(this.#list, this.#failed ? offline() : games ? noGames() : loading());
      return;
    }
    const groups = group(games, this.#search);
    const found = groups.reduce((n, one) => n + one.games.length, 0);
    this.#status.textContent = `${found} of ${games.length} games`;
    replace(this.#list, this.#failed && stale(), ...groups.map((one) => this.#shelf(one)), found === 0 && nothing(this.#search));
    if (focused) this.#list.querySelector(`[data-game="${focused}"]`)?.focus({ preventScroll: true });
  }

  #shelf({ system, games }) {
    const id = `system-${system.id}`;
    return h('section', { class: 'shelf', 'aria-labelledby': id },
      h('h2', { id }, h('span', {}, system.name), h('small', {}, String(games.length))),
      h('ul', {}, ...games.map((game) => h('li', {}, this.#card(game)))));
  }

  #card(game) {
    const canvas = h('canvas', { width: 96, height: 72, 'aria-hidden': 'true' });
    canvas.game = game;
    this.#observer.observe(canvas);
    const players = game.players > 1 ? `1–${game.players} players` : game.players === 1 ? '1 player' : '';
    return this.#link(playPath(game.id), { class: 'card', 'data-game': game.id, 'data-nav': true },
      h('span', { class: 'cover' }, canvas),
      h('span', { class: 'title' }, game.title),
      players && h('span', { class: 'players' }, players));
  }

  #paintSeen(seen) {
    for (const { isIntersecting, target } of seen) {
      if (!isIntersecting) continue;
      this.#observer.unobserve(target);
      paint(target, target.game);
    }
  }
}

function loading() {
  return h('ul', { class: 'skeleton', 'aria-label': 'Loading' }, ...Array.from({ length: 4 }, () => h('li')));
}

function notice(title, ...children) {
  return h('section', { class: 'empty' }, s('svg', { class: 'cartridge', viewBox: '0 0 24 24', 'aria-hidden': 'true', 'shape-rendering': 'crispEdges' },
    s('path', { d: 'M4 2h16v20H15v-2H9v2H4zM6 4v13h12V4zM8 6h8v6H8z', fill: 'currentColor', 'fill-rule': 'evenodd' })),
  h('h2', {}, title), ...children);
}

function noGames() {
  return notice('No games yet',
    h('p', {}, 'Games come from workers, and none has brought any so far. This page looks again every few seconds.'),
    h('ol', {},
      h('li', {}, h('strong', {}, 'Is a worker running? '), 'Start one with ', h('code', {}, 'cloudretro --role=worker'),
        ', or all roles at once with ', h('code', {}, 'cloudretro'), '.'),
      h('li', {}, h('strong', {}, 'Does it find this server? '), 'Its ', h('code', {}, 'worker.network.coordinatorAddress'),
        ' must lead here, and both need the same ', h('code', {}, 'secrets.worker'), '.'),
      h('li', {}, h('strong', {}, 'Your own games '), 'go into the folder named by ', h('code', {}, 'library.basePath'), '.')));
}

function offline() {
  return notice('The server cannot be reached',
    h('p', {}, 'It may be restarting, or your network may be down. This page tries again by itself.'));
}

const stale = () => h('p', { class: 'stale', role: 'status' }, 'The server does not answer at the moment. This list may be old.');

const nothing = (search) => h('p', { class: 'none' }, `No game is called “${search}”.`);
