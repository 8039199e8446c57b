// The view of a running game: glues a Session to what one sees, hears and presses.

import { Bar } from './bar.js';
import { h } from './dom.js';
import { Gamepads } from './gamepad.js';
import { Keyboard } from './keys.js';
import { Curtain, Notes, errorPanel, helpPanel } from './panels.js';
import { browserClock } from './clock.js';
import { sentence, stays } from './reasons.js';
import { Navigator } from './navigate.js';
import { InputSender } from './sender.js';
import { Sound, chime } from './sound.js';
import { Stage } from './stage.js';
import { StatsView } from './statsview.js';
import { systemOf, validGames } from './systems.js';
import { TouchPad } from './touch.js';
import { share } from './share.js';
import { shareLink } from './route.js';
import { stayAwake } from './awake.js';

const IDLE = 2500; // ms without a move until the bar hides
const LATE = 1500; // ms a server may be away until that is shown, for the game goes on

export class Play {
  #root;
  #session;
  #settings;
  #routes;
  #abort = new AbortController();
  #video = h('video', { muted: true, autoplay: true, playsinline: true, disablepictureinpicture: true, disableremoteplayback: true, tabindex: '-1', 'aria-label': 'The game' });
  #audio = h('audio', { autoplay: true });
  #box = h('div', { class: 'stage' }, this.#video);
  #soundHint = h('button', { type: 'button', class: 'sound-hint', hidden: true }, 'Tap or press a key for sound');
  #overlay = h('div', { class: 'overlay', hidden: true });
  #curtain = new Curtain();
  #notes = new Notes();
  #view;
  #bar;
  #stage;
  #stats;
  #sound;
  #sender;
  #keyboard;
  #gamepads;
  #touch;
  #navigator = null; // only while an error is shown: pads then choose its buttons
  #touched = matchMedia('(pointer: coarse)').matches;
  #pads = 0;
  #idle = null;
  #late = null;
  #together = null; // the panel, while it is open
  #before = null; // what had the focus before a panel opened
  #name = ''; // of the game one waits for
  #release;

  /**
   * @param {HTMLElement} root
   * @param {import('./session.js').Session} session
   * @param {import('./settings.js').Settings} settings
   * @param {object} routes what main.js does for it
   */
  constructor(root, session, settings, routes) {
    this.#root = root;
    this.#session = session;
    this.#settings = settings;
    this.#routes = routes;
    this.#video.muted = true; // the attribute alone does not count on elements made by script
    performance.clearMarks('first-frame');
    this.#parts();
    this.#view = h('div', { class: 'play awake' }, this.#box, this.#curtain.element, this.#touch.element,
      this.#bar.element, this.#stats.element, this.#soundHint, this.#notes.element, this.#overlay, this.#audio);
    root.replaceChildren(this.#view);
    this.#stage = new Stage(this.#box, this.#video);
    this.#listen();
    this.#wake();
    this.#guess();
    if (session.peer) this.#attach(session.peer);
    this.#state();
  }

  close() {
    this.#abort.abort();
    clearTimeout(this.#idle);
    clearTimeout(this.#late);
    for (const part of [this.#keyboard, this.#gamepads, this.#touch, this.#sound, this.#stage]) part.close();
    this.#sender.stop();
    this.#stats.visible = false;
    this.#navigator?.close();
    this.#release();
    this.#video.srcObject = null;
    this.#root.replaceChildren();
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  }

  #parts() {
    const session = this.#session;
    this.#sender = new InputSender((bytes) => {
      if (session.info.player) session.peer?.sendInput(bytes);
    }, browserClock);
    this.#bar = new Bar({
      leave: () => this.#routes.leave(),
      seat: (player) => this.#say({ type: 'seat', player }),
      mute: () => this.#mute(),
      volume: (v) => this.#sound.setVolume(v),
      share: () => this.#share(),
      touch: () => this.#toggleTouch(),
      save: () => this.#say({ type: 'save' }),
      load: () => this.#say({ type: 'load' }),
      stats: () => this.#toggleStats(),
      help: () => this.#toggleHelp(),
      fullscreen: () => this.#fullscreen(),
    });
    this.#stats = new StatsView(session);
    this.#sound = new Sound(this.#audio, this.#settings, () => this.#showSound());
    this.#keyboard = new Keyboard((pad) => this.#sender.set('keyboard', pad), (command) => this.#command(command));
    this.#touch = new TouchPad((pad) => this.#sender.set('touch', pad), systemOf('').buttons);
    this.#gamepads = new Gamepads((source, pad) => this.#sender.set(source, pad), (count) => this.#showPads(count));
    this.#release = stayAwake();
  }

  #listen() {
    const { signal } = this.#abort;
    const on = (target, type, f) => target.addEventListener(type, f, { signal });
    const session = this.#session;
    on(session, 'state', () => this.#state());
    on(session, 'peer', ({ detail }) => this.#attach(detail));
    on(session, 'info', ({ detail }) => this.#info(detail));
    on(session, 'geometry', ({ detail }) => { this.#stage.geometry = detail; });
    on(session, 'notice', ({ detail }) => this.#notes.show(detail.text, detail.kind));
    on(session, 'channel', ({ detail }) => detail === 'input' && this.#sender.refresh());
    on(session, 'slow', ({ detail }) => this.#slow(detail));
    on(session, 'queue', ({ detail }) => this.#queue(detail));
    on(session, 'company', () => this.#together?.update());
    for (const type of ['pointermove', 'pointerdown', 'focusin']) on(this.#view, type, () => this.#wake());
    on(this.#box, 'click', () => this.#tap());
    on(window, 'pointerdown', (event) => event.pointerType === 'touch' && this.#useTouch());
    on(document, 'fullscreenchange', () => this.#bar.showFullscreen(Boolean(document.fullscreenElement)));
    if (session.geometry) this.#stage.geometry = session.geometry;
    if (session.queue) this.#queue(session.queue);
    if (session.info.room) this.#info(session.info);
  }

  #say(message) {
    if (!this.#session.sendControl(message)) this.#notes.show('Not connected yet.', 'error');
  }

  // Shows the tracks of a (new) connection; they exist before any answer.
  #attach(peer) {
    if (!peer) return void (this.#video.srcObject = null);
    this.#video.srcObject = new MediaStream([peer.videoTrack]);
    this.#video.play().catch(() => {});
    this.#sound.attach(peer.audioTrack);
    const first = () => {
      if (this.#session.peer !== peer) return;
      if (performance.getEntriesByName('first-frame').length === 0) performance.mark('first-frame');
      this.#curtain.visible = false;
      this.#view.classList.add('live');
      this.#wake();
    };
    if (this.#video.requestVideoFrameCallback) this.#video.requestVideoFrameCallback(first);
    else this.#video.addEventListener('playing', first, { once: true });
  }

  #state() {
    const { state, phase, error } = this.#session;
    this.#view.dataset.state = state;
    if (state !== 'queued') this.#curtain.phase(state === 'connecting' ? phase : 'picture');
    clearTimeout(this.#late);
    if (state !== 'reconnecting') this.#bar.showBadge('');
    else if (phase === 'path') this.#bar.showBadge('reconnecting');
    else this.#late = setTimeout(() => this.#bar.showBadge('looking for the server'), LATE);
    if (state === 'error') this.#fail(error);
  }

  // What the cover may look like before the server has said what the game is.
  #guess() {
    const { game } = this.#session.target;
    if (game) this.#curtain.cover({ id: game, title: game.replaceAll('-', ' '), system: game === 'test-card' ? 'test' : '' });
    else this.#curtain.element.classList.add('plain');
  }

  // The list of games knows how the cover looks; it is asked only by who waits.
  async #know(id) {
    try {
      const games = validGames(await (await fetch('/api/games', { signal: this.#abort.signal })).json());
      const game = games.find((one) => one.id === id);
      if (!game) return;
      this.#curtain.cover(game);
      this.#name = game.title;
      if (this.#session.queue) this.#queue(this.#session.queue);
    } catch {
      // what was guessed has to do
    }
  }

  #queue(place) {
    const { game } = this.#session.target;
    if (place && !this.#name) {
      this.#name = game.replaceAll('-', ' ');
      this.#know(game);
    }
    const region = this.#routes.region();
    this.#curtain.queue(place, region, h('div', { class: 'actions' },
      region && h('button', { type: 'button', class: 'button', onclick: () => this.#routes.anywhere() }, 'Any region'),
      h('a', { class: 'button', href: '/', onclick: (event) => {
        event.preventDefault();
        this.#routes.leave();
      } }, 'Back to the menu')));
    document.title = place ? `(${place.position}) ${this.#name} · in line` : `▶ ${this.#name} · your turn`;
    if (!place && document.hidden) chime();
  }

  #info(info) {
    const system = systemOf(info.system);
    this.#bar.showInfo({ ...info, systemName: info.system ? system.name : '' });
    this.#view.classList.toggle('watching', !info.player);
    if (info.system) this.#touch.show(system.buttons);
    this.#showTouch();
    document.title = info.title ? `${info.title} · CloudRetro` : 'CloudRetro';
    this.#routes.entered(info);
  }

  #fail(error) {
    const make = {
      again: { label: (!stays.includes(error.code) && this.#session.target.again) || 'Try again', run: () => this.#routes.again() },
      relay: { label: 'Try through a relay', run: () => this.#routes.relay() },
      direct: { label: 'Try the direct path', run: () => this.#routes.direct() },
      reload: { label: 'Reload', run: () => location.reload() },
      menu: { label: 'Menu', run: (event) => { event.preventDefault(); this.#routes.leave(); }, href: '/' },
    };
    this.#curtain.visible = false;
    this.#together = null;
    this.#notes.clear();
    this.#sender.stop();
    this.#touch.visible = false;
    // A closed room cannot be joined again; its game can be started, if it is known.
    const dead = error.code === 'not-found' && this.#session.target.room && !this.#session.target.again;
    const actions = error.actions.filter((name) => !(dead && name === 'again'));
    this.#open(errorPanel(error, actions.map((name) => make[name])), 'error');
    this.#navigator = new Navigator(this.#overlay);
    this.#view.classList.add('over', 'awake');
  }

  #slow(phase) {
    if (phase !== 'path') this.#curtain.slow(phase, null);
    else if (this.#session.target.relay) this.#curtain.slow('relay', { label: 'Try the direct path', run: () => this.#routes.direct() });
    else this.#curtain.slow('path', { label: 'Try through a relay', run: () => this.#routes.relay() });
  }

  // --- overlays

  #open(panel, kind) {
    this.#before = document.activeElement?.matches('.bar :focus-visible') ? document.activeElement : null;
    this.#overlay.replaceChildren(panel);
    this.#overlay.dataset.kind = kind;
    this.#overlay.hidden = false;
    this.#keyboard.releaseAll();
    if (kind !== 'together') panel.querySelector('.actions .button')?.focus({ focusVisible: true, preventScroll: true });
  }

  #shut() {
    if (this.#overlay.hidden || this.#overlay.dataset.kind === 'error') return false;
    this.#overlay.hidden = true;
    this.#overlay.replaceChildren();
    this.#overlay.dataset.kind = '';
    this.#together = null;
    this.#before?.focus({ focusVisible: true }); // who walks by Tab goes on from there
    return true;
  }

  #toggleHelp() {
    if (this.#overlay.dataset.kind === 'help' && this.#shut()) return;
    if (!this.#overlay.hidden) return;
    this.#open(helpPanel(() => this.#shut(), () => this.#toggleStats()), 'help');
  }

  #toggleStats() {
    this.#stats.visible = !this.#stats.visible;
  }

  #command(command) {
    switch (command) {
      case 'fullscreen': return this.#fullscreen();
      case 'help': return this.#toggleHelp();
      case 'stats': return this.#toggleStats();
      case 'mute': return this.#mute();
      case 'save':
      case 'load': return this.#say({ type: command });
      case 'menu':
        if (this.#bar.open) return this.#bar.toggleSeats(false);
        return this.#shut() || this.#routes.leave();
    }
  }

  async #fullscreen() {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else await this.#root.requestFullscreen({ navigationUI: 'hide' });
    } catch {
      this.#notes.show('This browser does not allow fullscreen here.', 'error');
    }
  }

  async #share() {
    const { info, company } = this.#session;
    if (this.#together) return this.#shut();
    if (!info.room) return this.#notes.show('There is no room to share yet.', 'error');
    if (this.#session.state === 'error') return;
    const { Together } = await import('./together.js');
    this.#together = new Together(this.#session, {
      close: () => this.#shut(), give: (link) => this.#give(link), origin: () => this.#routes.origin(),
      note: (text, kind) => this.#notes.show(sentence(text), kind),
    });
    this.#open(this.#together.element, 'together');
    this.#together.element.focus({ preventScroll: true });
    // In an open room the link is all that most want.
    if (!company.closed && !this.#touched) this.#give(shareLink(this.#routes.origin(), info.room), true);
  }

  async #give(link, quiet = false) {
    const done = await share(link, this.#session.info.title, this.#touched);
    if (done === 'copied') this.#notes.show('Link copied. Whoever opens it joins this room.');
    else if (done === 'impossible' && !quiet) this.#notes.show('This browser does not let the page copy. Mark the link and copy it yourself.', 'error');
  }

  // --- sound

  #mute() {
    this.#sound.setMuted(!this.#sound.muted);
    this.#notes.show(this.#sound.muted ? 'Sound off' : 'Sound on');
  }

  #showSound() {
    if (!this.#sound) return queueMicrotask(() => this.#showSound());
    this.#bar.showSound(this.#sound);
    this.#soundHint.hidden = !this.#sound.blocked || this.#sound.muted;
  }

  // --- touch pad and bar

  #showPads(count) {
    if (count > this.#pads) this.#notes.show('Game pad connected');
    this.#pads = count;
    this.#showTouch();
  }

  #useTouch() {
    if (this.#touched) return;
    this.#touched = true;
    this.#showTouch();
  }

  get #touchOn() {
    const wish = this.#settings.get('touch');
    if (wish !== 'auto') return wish === 'on';
    return this.#touched && this.#pads === 0;
  }

  #toggleTouch() {
    this.#settings.set('touch', this.#touchOn ? 'off' : 'on');
    this.#showTouch();
  }

  #showTouch() {
    const possible = this.#touched || navigator.maxTouchPoints > 0;
    const on = possible && this.#touchOn && this.#session.state !== 'error';
    this.#bar?.showTouch({ possible, on });
    const shown = on && this.#session.info.player > 0;
    this.#touch.visible = shown;
    this.#view?.classList.toggle('touching', shown);
  }

  #tap() {
    if (this.#bar.open) this.#bar.toggleSeats(false);
    else if (this.#touched) this.#wake();
  }

  #wake() {
    this.#view.classList.add('awake');
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#doze(), IDLE);
  }

  #doze() {
    const busy = this.#bar.open || this.#together || !this.#session.media || this.#bar.element.matches(':has(:focus-visible)');
    if (busy) return this.#wake();
    this.#view.classList.remove('awake');
  }
}
