// The pad on the glass. dpad and hitButton are pure; TouchPad is what one sees.

import { h } from './dom.js';
import { Button, bit, released } from './wire.js';

const DEAD = 0.2; // of the radius: a thumb that rests in the middle presses nothing
const REACH = 1.5; // of the radius: a thumb may slide out this far
const TICK = 8; // ms of vibration

const names = Object.freeze({
  [Button.A]: 'A', [Button.B]: 'B', [Button.X]: 'X', [Button.Y]: 'Y',
  [Button.L]: 'L', [Button.R]: 'R', [Button.START]: 'Start', [Button.SELECT]: 'Select',
});

// Clockwise from the right, an eighth of a turn each.
const RIGHT = bit(Button.RIGHT);
const LEFT = bit(Button.LEFT);
const UP = bit(Button.UP);
const DOWN = bit(Button.DOWN);
const sectors = [RIGHT, RIGHT | DOWN, DOWN, DOWN | LEFT, LEFT, LEFT | UP, UP, UP | RIGHT];

/**
 * The directions of a thumb on the d-pad.
 * @param {number} x from its middle, 1 = its edge; to the right
 * @param {number} y downwards
 */
export function dpad(x, y) {
  const length = Math.hypot(x, y);
  if (!(length >= DEAD) || length > REACH) return 0;
  const turn = Math.atan2(y, x) / (2 * Math.PI);
  return sectors[Math.round(turn * 8 + 8) % 8];
}

/**
 * The button under a finger, or -1: the nearest whose middle is within 1.25 of its radius.
 * @param {{x: number, y: number, r: number, button: number}[]} buttons
 */
export function hitButton(buttons, x, y) {
  let best = -1;
  let least = Infinity;
  for (const one of buttons) {
    const way = Math.hypot(one.x - x, one.y - y) / one.r;
    if (way <= 1.25 && way < least) [best, least] = [one.button, way];
  }
  return best;
}

export class TouchPad {
  #onPad;
  #element;
  #cross;
  #keys = new Map();
  #fingers = new Map(); // pointer id -> {part, buttons}
  #places = null;
  #buttons = 0;
  #resize = new AbortController();

  /**
   * @param {(pad: import('./wire.js').Pad) => void} onPad
   * @param {number[]} buttons what the system has beside d-pad, START and SELECT
   */
  constructor(onPad, buttons) {
    this.#onPad = onPad;
    this.#cross = h('div', { class: 'cross' }, ...['up', 'right', 'down', 'left'].map((d) => h('i', { class: d })), h('i', { class: 'hub' }));
    this.#element = h('div', { class: 'touch', 'aria-hidden': 'true', hidden: true }, this.#cross);
    this.show(buttons);
    const on = (type, f) => this.#element.addEventListener(type, f, { passive: false });
    on('pointerdown', (event) => this.#down(event));
    on('pointermove', (event) => this.#move(event));
    for (const type of ['pointerup', 'pointercancel', 'lostpointercapture']) on(type, (event) => this.#up(event));
    on('contextmenu', (event) => event.preventDefault());
    on('touchstart', (event) => event.preventDefault()); // no double-tap zoom, no selection
    window.addEventListener('resize', () => { this.#places = null; }, { signal: this.#resize.signal });
    document.addEventListener('visibilitychange', () => document.hidden && this.releaseAll(), { signal: this.#resize.signal });
  }

  get element() {
    return this.#element;
  }

  /** Chooses the buttons that are there. */
  show(buttons) {
    const shown = [...buttons, Button.SELECT, Button.START];
    for (const key of this.#keys.values()) key.remove();
    this.#keys = new Map(shown.map((button) =>
      [button, h('div', { class: `key key-${names[button].toLowerCase()}` }, h('span', {}, names[button]))]));
    this.#element.classList.toggle('four', buttons.includes(Button.X));
    this.#element.append(...this.#keys.values());
    this.#places = null;
  }

  set visible(visible) {
    this.#element.hidden = !visible;
    this.#places = null;
    if (!visible) this.releaseAll();
  }

  releaseAll() {
    this.#fingers.clear();
    this.#tell();
  }

  close() {
    this.#resize.abort();
    this.releaseAll();
    this.#element.remove();
  }

  // Middles and radii on the screen, measured once per layout.
  #layout() {
    if (this.#places) return this.#places;
    const middle = (element) => {
      const r = element.getBoundingClientRect();
      return { x: r.x + r.width / 2, y: r.y + r.height / 2, r: Math.max(r.width, r.height) / 2 };
    };
    const buttons = [...this.#keys].map(([button, element]) => ({ ...middle(element), button }));
    this.#places = { cross: middle(this.#cross), buttons };
    return this.#places;
  }

  #down(event) {
    event.preventDefault();
    this.#places = null;
    const { cross } = this.#layout();
    const onCross = Math.hypot(event.clientX - cross.x, event.clientY - cross.y) < cross.r * 1.25;
    this.#fingers.set(event.pointerId, { part: onCross ? 'cross' : 'keys', buttons: 0 });
    try {
      this.#element.setPointerCapture(event.pointerId);
    } catch {
      // the finger is gone already
    }
    this.#move(event);
  }

  #move(event) {
    const finger = this.#fingers.get(event.pointerId);
    if (!finger) return;
    const { cross, buttons } = this.#layout();
    if (finger.part === 'cross') {
      // Held on the cross, a finger may slide anywhere: only its direction counts.
      const [x, y] = [(event.clientX - cross.x) / cross.r, (event.clientY - cross.y) / cross.r];
      const far = Math.max(1, Math.hypot(x, y));
      finger.buttons = dpad(x / far, y / far);
    } else {
      const hit = hitButton(buttons, event.clientX, event.clientY);
      finger.buttons = hit < 0 ? 0 : bit(hit);
    }
    this.#tell();
  }

  #up(event) {
    if (this.#fingers.delete(event.pointerId)) this.#tell();
  }

  #tell() {
    let buttons = 0;
    for (const finger of this.#fingers.values()) buttons |= finger.buttons;
    if (buttons === this.#buttons) return;
    if (buttons & ~this.#buttons) navigator.vibrate?.(TICK);
    this.#buttons = buttons;
    for (const [button, element] of this.#keys) element.classList.toggle('down', (buttons & bit(button)) !== 0);
    const arms = { up: Button.UP, down: Button.DOWN, left: Button.LEFT, right: Button.RIGHT };
    for (const [arm, button] of Object.entries(arms)) {
      this.#cross.querySelector(`.${arm}`).classList.toggle('pressed', (buttons & bit(button)) !== 0);
    }
    this.#onPad({ ...released, buttons });
  }
}
