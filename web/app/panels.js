// What lies over the picture for a while: connecting, errors, help, notes.

import { h, replace } from './dom.js';
import { paint } from './cover.js';

const NOTE = 5000; // ms a note stays
const MAX_NOTES = 3;
const SAY = 15000; // ms between announcements of a place in line

const phases = Object.freeze({
  socket: 'Reaching the server',
  asking: 'Starting the game',
  path: 'Finding a path for the picture',
  picture: 'Waiting for the first picture',
});

const hints = Object.freeze({
  socket: 'The server does not answer. This page keeps trying.',
  asking: 'The worker takes its time. A busy machine needs a moment.',
  path: 'No media get through yet. This page keeps trying; if a firewall blocks UDP, a relay may help.',
  relay: 'No relay leads to the worker yet. This page keeps trying; the direct path may help.',
  picture: 'The path stands, but no picture has come yet.',
});

/** The curtain before the first picture. */
export class Curtain {
  #step = h('p', { class: 'step', role: 'status' });
  #hint = h('p', { class: 'hint' });
  #place = h('p', { class: 'place', hidden: true });
  #canvas = h('canvas', { 'aria-hidden': 'true' });
  #said = -Infinity;
  #element;

  constructor() {
    this.#element = h('div', { class: 'curtain' },
      h('div', { class: 'cover' }, this.#canvas), this.#place, this.#step,
      h('div', { class: 'progress', 'aria-hidden': 'true' }), this.#hint);
  }

  get element() {
    return this.#element;
  }

  cover(game) {
    paint(this.#canvas, game);
  }

  phase(name) {
    this.#step.textContent = phases[name] ?? '';
  }

  /** Shows a place in line, of the region that was chosen; null when it is one's turn. */
  queue(place, region, actions) {
    const before = !this.#place.hidden;
    this.#place.hidden = !place;
    this.#element.classList.toggle('line', Boolean(place));
    if (!place) return replace(this.#hint);
    const { position, waiting } = place;
    const text = `You are number ${position} in line (of ${waiting}).`;
    this.#place.replaceChildren('You are number ', h('strong', {}, String(position)), ` in line (of ${waiting})`);
    // Read out at once at first and when one is next, else now and then.
    const now = performance.now();
    if (!before || position === 1 || now - this.#said > SAY) {
      if (this.#step.textContent !== text) this.#said = now;
      this.#step.textContent = text;
    }
    if (before) return;
    replace(this.#hint, h('span', {}, `The game starts by itself as soon as a machine ${region ? `in ${region} ` : ''}is free. Leave this page open.`), actions);
  }

  /** Tells why it may take so long. */
  slow(name, action) {
    replace(this.#hint, h('span', {}, hints[name] ?? ''),
      action && h('button', { type: 'button', class: 'button', onclick: action.run }, action.label));
  }

  set visible(visible) {
    this.#element.hidden = !visible;
    if (visible) replace(this.#hint);
  }
}

/** The end of a session: what happened, what helps, and buttons. */
export function errorPanel(reason, actions) {
  const buttons = actions.map(({ label, run, href }, i) => {
    const props = { class: i === 0 ? 'button primary' : 'button', 'data-nav': true, onclick: run };
    return href ? h('a', { ...props, href }, label) : h('button', { type: 'button', ...props }, label);
  });
  return h('div', { class: 'panel', role: 'alertdialog', 'aria-labelledby': 'panel-title', 'aria-describedby': 'panel-text', 'data-code': reason.code },
    h('h2', { id: 'panel-title' }, reason.title),
    h('p', { id: 'panel-text' }, reason.text),
    reason.help && h('p', { class: 'help-text' }, reason.help),
    h('div', { class: 'actions' }, ...buttons));
}

const keyRows = [
  [['↑', '↓', '←', '→'], 'Move'],
  [['Z'], 'A'], [['X'], 'B'], [['C'], 'X'], [['V'], 'Y'],
  [['A'], 'L'], [['S'], 'R'], [[';'], 'L2'], [['\''], 'R2'], [['.'], 'L3'], [['/'], 'R3'],
  [['Enter'], 'Start'], [['Shift'], 'Select'],
];
const pageRows = [
  [['F'], 'Fullscreen'], [['M'], 'Sound on or off'], [['\\'], 'Statistics'], [['F2'], 'Save'], [['F4'], 'Load'], [['H'], 'This help'], [['Esc'], 'Back to the menu'],
];

/** The keys. They are places on the keyboard; letters are those of a US layout. */
export function helpPanel(close, stats) {
  const table = (rows) => h('dl', {}, ...rows.map(([keys, text]) =>
    h('div', {}, h('dt', {}, ...keys.map((key) => h('kbd', {}, key))), h('dd', {}, text))));
  return h('div', { class: 'panel help', role: 'dialog', 'aria-label': 'Keys and help' },
    h('section', { class: 'keys' }, h('h2', {}, 'Pad'), table(keyRows)),
    h('section', {},
      h('div', { class: 'keys' }, h('h2', {}, 'Page'), table(pageRows)),
      h('div', { class: 'touch-only' }, h('h2', {}, 'On the glass'),
        h('p', {}, 'The cross takes diagonals, and a thumb may slide. Tap the picture for the bar.')),
      h('h2', {}, 'Game pads'),
      h('p', {}, 'Plug one in and press a button. All its buttons and both sticks work, the left stick as d-pad too.'),
      h('h2', {}, 'Together'),
      h('p', {}, 'Share the room: the first to come takes the next free seat, the others watch. Its host can invite for a seat, mute and remove.')),
    h('div', { class: 'actions' },
      h('button', { type: 'button', class: 'button primary', onclick: close }, 'Play on'),
      h('button', { type: 'button', class: 'button touch-only', onclick: () => { close(); stats(); } }, 'Statistics')));
}

/** Short notes at the edge. */
export class Notes {
  #element = h('div', { class: 'notes', role: 'status', 'aria-live': 'polite' });

  get element() {
    return this.#element;
  }

  show(text, kind = 'info') {
    const same = [...this.#element.children].find((note) => note.textContent === text);
    same?.remove();
    const note = h('p', { class: `note ${kind}` }, String(text).slice(0, 512));
    this.#element.append(note);
    while (this.#element.children.length > MAX_NOTES) this.#element.firstElementChild.remove();
    setTimeout(() => note.remove(), NOTE);
  }

  clear() {
    this.#element.replaceChildren();
  }
}
