// Game pads. readPad is pure; Gamepads polls, away from the animation frame.

import { Button, bit, released } from './wire.js';
import { Ticker } from './ticker.js';

/** W3C standard mapping, by index, to libretro: bottom is B, right is A, left is Y, top is X. */
export const standardButtons = Object.freeze([
  Button.B, Button.A, Button.Y, Button.X, Button.L, Button.R, Button.L2, Button.R2,
  Button.SELECT, Button.START, Button.L3, Button.R3,
  Button.UP, Button.DOWN, Button.LEFT, Button.RIGHT,
]);

export const DEAD_ZONE = 0.18;
const TRIGGER = 0.3; // how far an analogue button is in before it counts
const STICK_AS_DPAD = 0.5;
const STEP = 256; // axes are told in steps, so that a trembling stick does not talk all day
const POLL = 4; // ms

/** A stick with a round dead zone, -1..1 to int16. */
export function stick(x, y) {
  const length = Math.hypot(x, y);
  if (!(length > DEAD_ZONE)) return [0, 0];
  const reach = Math.min(1, (length - DEAD_ZONE) / (1 - DEAD_ZONE)) / length;
  const axis = (v) => Math.max(-32768, Math.min(32767, Math.round((v * reach * 32767) / STEP) * STEP));
  return [axis(x), axis(y)];
}

/** The d-pad buttons that a stick stands for, diagonals included. */
export function stickDirections(x, y) {
  let buttons = 0;
  if (x <= -STICK_AS_DPAD) buttons |= bit(Button.LEFT);
  if (x >= STICK_AS_DPAD) buttons |= bit(Button.RIGHT);
  if (y <= -STICK_AS_DPAD) buttons |= bit(Button.UP);
  if (y >= STICK_AS_DPAD) buttons |= bit(Button.DOWN);
  return buttons;
}

/**
 * What a pad holds.
 * @param {{buttons: readonly {pressed: boolean, value: number}[], axes: readonly number[]}} pad
 * @returns {import('./wire.js').Pad}
 */
export function readPad(pad) {
  let buttons = 0;
  standardButtons.forEach((button, i) => {
    const b = pad.buttons[i];
    if (b && (b.pressed || b.value > TRIGGER)) buttons |= bit(button);
  });
  const [x = 0, y = 0, x2 = 0, y2 = 0] = pad.axes;
  buttons |= stickDirections(x, y);
  const [lx, ly] = stick(x, y);
  const [rx, ry] = stick(x2, y2);
  return { buttons, lx, ly, rx, ry };
}

/** The pads that are there now; none where the browser has no such thing. */
export function connectedPads() {
  try {
    return [...(navigator.getGamepads?.() ?? [])].filter((pad) => pad && pad.connected);
  } catch {
    return []; // forbidden by a permissions policy
  }
}

/** Polls every pad while one is connected and tells what each holds. */
export class Gamepads {
  #onPad;
  #onCount;
  #ticker;
  #known = new Set();
  #abort = new AbortController();

  /**
   * @param {(source: string, pad: import('./wire.js').Pad) => void} onPad called at every poll
   * @param {(count: number) => void} onCount called when pads come and go
   */
  constructor(onPad, onCount = () => {}) {
    this.#onPad = onPad;
    this.#onCount = onCount;
    this.#ticker = new Ticker(POLL, () => this.#poll());
    for (const type of ['gamepadconnected', 'gamepaddisconnected']) {
      window.addEventListener(type, () => this.#watch(), { signal: this.#abort.signal });
    }
    this.#watch();
  }

  close() {
    this.#abort.abort();
    this.#ticker.stop();
    for (const source of this.#known) this.#onPad(source, released);
    this.#known.clear();
  }

  #watch() {
    this.#poll();
    const count = connectedPads().length;
    if (count > 0) this.#ticker.start();
    else this.#ticker.stop();
    this.#onCount(count);
  }

  #poll() {
    const seen = new Set();
    for (const pad of connectedPads()) {
      const source = `pad ${pad.index}`;
      seen.add(source);
      this.#known.add(source);
      this.#onPad(source, readPad(pad));
    }
    for (const source of [...this.#known]) {
      if (seen.has(source)) continue;
      this.#known.delete(source);
      this.#onPad(source, released);
    }
  }
}
