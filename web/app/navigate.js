// Moving the focus with arrows and game pads. nearest is pure.

import { Button, bit } from './wire.js';
import { connectedPads, readPad } from './gamepad.js';

const FIRST_REPEAT = 380; // ms a direction is held before it repeats
const REPEAT = 110; // ms

const directions = Object.freeze({ ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] });
const padDirections = [[Button.UP, 'ArrowUp'], [Button.DOWN, 'ArrowDown'], [Button.LEFT, 'ArrowLeft'], [Button.RIGHT, 'ArrowRight']];

/**
 * The rectangle to go to from `from`, or -1: of those that lie in the direction
 * the one with the least way, ways to the side counting more.
 * @param {{x: number, y: number, width: number, height: number}} from
 * @param {typeof from[]} rects
 * @param {[number, number]} direction
 */
export function nearest(from, rects, [dx, dy]) {
  const centre = (r) => [r.x + r.width / 2, r.y + r.height / 2];
  const [fx, fy] = centre(from);
  let best = -1;
  let least = Infinity;
  rects.forEach((rect, i) => {
    const [x, y] = centre(rect);
    const along = (x - fx) * dx + (y - fy) * dy;
    const aside = Math.abs((x - fx) * dy) + Math.abs((y - fy) * dx);
    if (along < 4 || (dx !== 0 && aside > rect.height / 2)) return;
    const way = along + 3 * aside;
    if (way < least) [best, least] = [i, way];
  });
  return best;
}

/** Lets arrows and pads walk over the [data-nav] elements of a root. */
export class Navigator {
  #root;
  #abort = new AbortController();
  #frame = 0;
  #held = null;
  #since = 0;
  #confirm = true; // a button held since the page before does not count

  constructor(root) {
    this.#root = root;
    const { signal } = this.#abort;
    window.addEventListener('keydown', (event) => this.#key(event), { signal });
    window.addEventListener('gamepadconnected', () => this.#watch(), { signal });
    this.#watch();
  }

  close() {
    this.#abort.abort();
    cancelAnimationFrame(this.#frame);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.activeElement?.matches('select')) return;
    const search = this.#root.querySelector('[data-search]');
    const inSearch = document.activeElement === search;
    if (event.key === '/' && !inSearch) {
      event.preventDefault();
      search?.focus();
    } else if (event.key === 'Escape' && inSearch) {
      search.value = '';
      search.dispatchEvent(new Event('input'));
      search.blur();
    } else if (Object.hasOwn(directions, event.code) && !(inSearch && event.code !== 'ArrowDown')) {
      event.preventDefault();
      this.#move(event.code);
    }
  }

  #move(code) {
    const all = [...this.#root.querySelectorAll('[data-nav]')];
    const from = all.indexOf(document.activeElement);
    let to = 0;
    if (from >= 0) to = nearest(rectOf(all[from]), all.map(rectOf), directions[code]);
    else to = Math.max(0, all.findIndex((one) => one.matches('.card')));
    if (to < 0 && code === 'ArrowUp') return this.#root.querySelector('[data-search]')?.focus();
    const next = all[to];
    next?.focus({ preventScroll: true, focusVisible: true });
    next?.scrollIntoView({ block: 'nearest', behavior: calm() ? 'auto' : 'smooth' });
  }

  #watch() {
    cancelAnimationFrame(this.#frame);
    if (connectedPads().length > 0) this.#frame = requestAnimationFrame((now) => this.#poll(now));
  }

  #poll(now) {
    const buttons = connectedPads().reduce((sum, pad) => sum | readPad(pad).buttons, 0);
    const held = padDirections.find(([button]) => buttons & bit(button))?.[1] ?? null;
    if (held && (held !== this.#held || now - this.#since > FIRST_REPEAT)) {
      this.#since = held === this.#held ? now - FIRST_REPEAT + REPEAT : now;
      this.#move(held);
    }
    this.#held = held;
    const confirm = (buttons & (bit(Button.A) | bit(Button.B) | bit(Button.START))) !== 0;
    if (confirm && !this.#confirm && document.activeElement?.matches('[data-nav]')) press(document.activeElement);
    this.#confirm = confirm;
    if (!this.#abort.signal.aborted) this.#watch();
  }
}

// A page may not open the list of a select for a pad: each press goes on to the next.
function press(element) {
  if (!element.matches('select')) return element.click();
  element.selectedIndex = (element.selectedIndex + 1) % element.length;
  element.dispatchEvent(new Event('change'));
}

const rectOf = (element) => element.getBoundingClientRect();

const calm = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
