// The page of the operators: workers, rooms and sessions, live, and the buttons
// that drain, evict and end. It does nothing that /api/v1 does not.
//
// For tests: document.body.dataset.rounds counts how often all was asked for.

import { h } from './dom.js';
import { browserClock } from './clock.js';
import { all, ask, Refusal } from './admin-ask.js';
import { question } from './admin-dialog.js';
import { count, many, route, views } from './admin-model.js';
import { Rounds } from './admin-rounds.js';
import { Table } from './admin-table.js';

const NAMES = 10_000; // ms that names of workers are good for
const VISIT = 60_000; // ms between visits, by which one stays signed in
const SEEN = 8000; // ms in which a worker should say that it does what it was told

const totals = Object.freeze({ workers: 'Workers', rooms: 'Rooms', players: 'Playing', viewers: 'Watching', waiting: 'In line' });

/** Answers to those who are asked out of the blue. */
const plain = (error) => {
  if (!(error instanceof Refusal)) console.error(error);
  return error instanceof Refusal ? error.message : 'Something went wrong on this page. Load it again.';
};

class Admin {
  #at = route(location.hash);
  #rounds = new Rounds(browserClock, () => this.#round());
  #count = 0;
  #names = new Map();
  #named = -Infinity;
  #visited = performance.now();
  #wishes = new Map(); // by worker: the state it should come to, and until when
  #figures = new Map();
  #tabs = new Map();
  #tables = new Map();
  #said = h('p', { class: 'said', role: 'status' });
  #wrong = h('p', { class: 'banner', role: 'alert', hidden: true });
  #note = h('p', { class: 'note', hidden: true });
  #scope = h('p', { class: 'scope', hidden: true });
  #filter = h('input', { type: 'search', id: 'filter', placeholder: 'Filter', 'aria-label': 'Filter', autocomplete: 'off', spellcheck: 'false', maxlength: 100 });
  #title = h('h1', { tabindex: -1 });
  #who = h('span', { class: 'who' });
  #main = h('main', {});

  constructor(root) {
    for (const [name, view] of Object.entries(views)) {
      this.#tables.set(name, new Table(view, (action, row) => this.#press(action, row)));
      this.#tabs.set(name, h('a', { href: `#${name}` }, view.title));
    }
    const figures = Object.entries(totals).map(([name, label]) => {
      this.#figures.set(name, h('dd', {}, '–'));
      return h('div', {}, h('dt', {}, label), this.#figures.get(name));
    });
    const out = h('button', { type: 'button', class: 'button', onclick: () => this.#signOut() }, 'Sign out');
    this.#main.append(
      h('div', { class: 'bar-top' }, this.#title, this.#said),
      h('dl', { class: 'totals', 'aria-label': 'In all' }, figures),
      h('div', { class: 'tools' }, h('nav', { class: 'tabs', 'aria-label': 'Lists' }, [...this.#tabs.values()]), this.#filter),
      this.#scope, this.#note);
    root.append(
      h('header', { class: 'top' }, h('a', { class: 'brand', href: '/' }, h('img', { src: '/icons/icon.svg', alt: '', width: 28, height: 28 }), 'CloudRetro'),
        this.#who, out), this.#wrong, this.#main);
    this.#filter.addEventListener('input', () => this.#table.filter(this.#filter.value));
    addEventListener('hashchange', () => this.#go());
    document.addEventListener('visibilitychange', () => this.#look());
    this.#show();
    this.#look();
    void this.#meet();
  }

  get #table() { return this.#tables.get(this.#at.view); }

  /** Asks while the page is looked at. */
  #look() {
    if (document.hidden) this.#rounds.stop();
    else void this.#rounds.now();
  }

  #go() {
    this.#at = route(location.hash);
    this.#show();
    this.#title.focus({ preventScroll: true });
    scrollTo(0, 0);
    void this.#rounds.now();
  }

  /** Shows the view that the address names. */
  #show() {
    const { view, worker } = this.#at;
    document.title = `${views[view].title} - CloudRetro administration`;
    this.#title.textContent = views[view].title;
    for (const [name, tab] of this.#tabs) {
      if (name === view) tab.setAttribute('aria-current', 'page');
      else tab.removeAttribute('aria-current');
    }
    this.#filter.value = '';
    this.#table.filter('');
    this.#note.hidden = true;
    this.#say('');
    this.#main.querySelector('.listing')?.remove();
    this.#main.append(this.#table.element);
    this.#scope.hidden = !worker;
    this.#scope.replaceChildren('Of worker ', h('b', {}, this.#names.get(worker) ?? worker), ' only. ', h('a', { href: `#${view}` }, `All ${view}`));
  }

  async #meet() {
    const { user } = await ask('/api/v1/me').catch(() => ({}));
    if (user) this.#who.textContent = user.name;
  }

  /** One round; answers what Rounds wants to know. */
  async #round() {
    const at = this.#at;
    try {
      const got = await this.#fetch(at);
      this.#wrong.hidden = true;
      if (at === this.#at) this.#paint(got);
      return 0;
    } catch (error) {
      return this.#failed(error);
    } finally {
      document.body.dataset.rounds = String(++this.#count);
    }
  }

  async #fetch({ view, worker }) {
    const list = { parts: view === 'sessions' ? 1 : undefined, query: view === 'sessions' && worker ? `&worker=${worker}` : '' };
    const old = view !== 'workers' && performance.now() - this.#named > NAMES;
    const [got, summary, workers] = await Promise.all([
      all(view, list), view === 'rooms' ? null : ask('/api/v1/rooms?limit=1'), old ? all('workers') : null,
    ]);
    if (performance.now() - this.#visited > VISIT) {
      this.#visited = performance.now();
      await ask('/admin', { method: 'HEAD' });
    }
    const known = view === 'workers' ? got : workers;
    if (known) {
      this.#names = new Map(known.rows.map((w) => [w.id, w.name || w.id]));
      this.#named = performance.now();
    }
    const rows = view === 'rooms' && worker ? got.rows.filter((room) => room.worker === worker) : got.rows;
    return { ...got, rows, totals: (summary ?? got).totals };
  }

  #paint({ rows, totals: sums, more, silent = [] }) {
    for (const [name, element] of this.#figures) {
      const text = count(sums[name]);
      if (element.textContent !== text) element.textContent = text;
    }
    if (this.#at.view === 'workers') this.#check(rows);
    this.#table.show(rows, { now: Date.now(), names: this.#names });
    const { view, worker } = this.#at;
    const notes = [];
    if (more) notes.push(`Only ${count(rows.length)} are listed, there are more.${view === 'sessions' && !worker ? ' Choose a worker to see all of its own.' : ''}`);
    if (silent.length > 0) notes.push(`${many(silent.length, 'worker has', 'workers have')} not answered: ${silent.slice(0, 5).map((id) => this.#names.get(id) ?? id).join(', ')}${silent.length > 5 ? ' and others' : ''}.`);
    const text = notes.join(' ');
    if (this.#note.textContent !== text) this.#note.textContent = text;
    this.#note.hidden = text === '';
    if (worker) this.#scope.querySelector('b').textContent = this.#names.get(worker) ?? worker;
  }

  /** Says why there is nothing new; answers when to ask again. */
  #failed(error) {
    const kind = error instanceof Refusal ? error.kind : 'other';
    const over = kind === 'signin' || kind === 'role';
    const words = over ? plain(error) : `${plain(error)} What is shown may be old; this page keeps asking.`;
    const again = over && h('button', { type: 'button', class: 'button primary', onclick: () => location.reload() }, 'Sign in again');
    if (this.#wrong.hidden || this.#wrong.firstChild?.textContent !== words) this.#wrong.replaceChildren(...[h('span', {}, words), again].filter(Boolean));
    this.#wrong.hidden = false;
    return over ? Infinity : error.wait ?? 0;
  }

  #say(text) { this.#said.textContent = text; }

  #press(action, row) {
    return action === 'drain' || action === 'undrain' ? this.#drain(row, action === 'undrain') : this.#end(row);
  }

  async #drain(worker, off) {
    const table = this.#tables.get('workers');
    const name = views.workers.name(worker);
    table.busy(worker.id, true);
    try {
      await ask(`/api/v1/workers/${worker.id}/drain`, { method: 'POST', body: { off } });
      this.#wishes.set(worker.id, { off, name, until: performance.now() + SEEN });
      void this.#rounds.now();
    } catch (error) {
      table.busy(worker.id, false);
      this.#say(`${name}: ${plain(error)}`);
    }
  }

  /** Whether workers have said that they do what they were told. */
  #check(rows) {
    const byID = new Map(rows.map((w) => [w.id, w]));
    for (const [id, { off, name, until }] of this.#wishes) {
      const worker = byID.get(id);
      const done = worker && (worker.state === 'draining') !== off;
      if (worker && !done && performance.now() < until) continue;
      this.#wishes.delete(id);
      this.#tables.get('workers').busy(id, false);
      if (!worker) this.#say(`${name} is not connected any more.`);
      else if (!done) this.#say(`${name} has not said that it ${off ? 'takes games again' : 'drains'}. It may be silent or about to stop.`);
      else this.#say(off ? `${name} takes new games again.` : `${name} takes no new games. Those that run go on.`);
    }
  }

  async #end(row) {
    const room = this.#at.view === 'rooms';
    const table = this.#table;
    const name = room ? row.title || row.game : row.user?.name ?? 'a guest';
    const reason = await question(room ? {
      title: `Evict everybody from ${name}?`, label: 'Evict',
      text: `The game ends for ${many(row.players, 'player')} and ${many(row.viewers, 'viewer')}.`,
      told: 'They read: An operator has closed the room: (your reason).',
    } : {
      title: `End the session of ${name}?`, label: 'End session',
      text: `${row.player > 0 ? `Player ${row.player}` : 'A viewer'} of ${row.game} leaves. The room stays open for the others.`,
      told: 'They read: An operator has ended the session: (your reason).',
    });
    if (reason === null) return;
    table.busy(row.id, true);
    const query = new URLSearchParams({ ...(!room && { worker: row.worker }), ...(reason && { reason }) });
    try {
      await ask(`/api/v1/${room ? 'rooms' : 'sessions'}/${row.id}?${query}`, { method: 'DELETE' });
      this.#say(room ? `${name} was closed.` : `The session of ${name} was ended.`);
    } catch (error) {
      this.#say(error.kind === 'gone' ? `${room ? name : `The session of ${name}`} had ended already.` : `${name}: ${plain(error)}`);
    }
    table.busy(row.id, false);
    void this.#rounds.now();
  }

  async #signOut() {
    try {
      await ask('/auth/logout', { method: 'POST', body: {} });
    } catch (error) {
      return this.#say(plain(error));
    }
    try { sessionStorage.removeItem('signin-tried'); } catch { /* see signin.js */ }
    location.reload();
  }
}

new Admin(document.getElementById('admin'));
