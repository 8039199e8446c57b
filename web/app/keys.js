// The keyboard, by physical place (KeyboardEvent.code), so that every layout
// plays alike. KeyState is pure; Keyboard listens to a page.

import { Button, bit, released } from './wire.js';

/** Keys of the pad. */
export const padKeys = Object.freeze({
  ArrowUp: Button.UP, ArrowDown: Button.DOWN, ArrowLeft: Button.LEFT, ArrowRight: Button.RIGHT,
  KeyZ: Button.A, KeyX: Button.B, KeyC: Button.X, KeyV: Button.Y,
  KeyA: Button.L, KeyS: Button.R, Semicolon: Button.L2, Quote: Button.R2,
  Period: Button.L3, Slash: Button.R3,
  Enter: Button.START, ShiftLeft: Button.SELECT, ShiftRight: Button.SELECT,
});

/** Keys of the page. */
export const commandKeys = Object.freeze({
  KeyF: 'fullscreen', KeyH: 'help', KeyM: 'mute', Backslash: 'stats', Escape: 'menu', F2: 'save', F4: 'load',
});

/** The keys that are down. Two keys may hold the same button. */
export class KeyState {
  #down = new Set();

  /** @returns {boolean} whether the key belongs to the pad */
  press(code) {
    if (!Object.hasOwn(padKeys, code)) return false;
    this.#down.add(code);
    return true;
  }

  /** @returns {boolean} whether the key was held */
  release(code) {
    return this.#down.delete(code);
  }

  clear() {
    this.#down.clear();
  }

  /** @returns {import('./wire.js').Pad} */
  get pad() {
    let buttons = 0;
    for (const code of this.#down) buttons |= bit(padKeys[code]);
    return { ...released, buttons };
  }
}

/** Whether the element under focus wants this key more than the game does. */
export function keepsKey(element, code) {
  if (!element || !element.matches) return false;
  if (element.matches('input:not([type=range]), textarea, select')) return true;
  if (!element.matches(':focus-visible, .overlay *')) return false;
  if (element.matches('input[type=range]')) return code.startsWith('Arrow');
  return element.matches('button, a[href], summary') && (code === 'Enter' || code === 'Space');
}

/** Listens to the page and tells the pad and the commands. */
export class Keyboard {
  #state = new KeyState();
  #onPad;
  #onCommand;
  #abort = new AbortController();

  /**
   * @param {(pad: import('./wire.js').Pad) => void} onPad
   * @param {(command: string, event: KeyboardEvent) => void} onCommand
   */
  constructor(onPad, onCommand) {
    this.#onPad = onPad;
    this.#onCommand = onCommand;
    const on = (target, type, f) => target.addEventListener(type, f, { signal: this.#abort.signal });
    on(window, 'keydown', (event) => this.#down(event));
    on(window, 'keyup', (event) => this.#up(event));
    on(window, 'blur', () => this.releaseAll());
    on(document, 'visibilitychange', () => document.hidden && this.releaseAll());
  }

  releaseAll() {
    this.#state.clear();
    this.#onPad(this.#state.pad);
  }

  close() {
    this.#abort.abort();
    this.releaseAll();
  }

  #down(event) {
    // With a modifier it is the browser's key; macOS never tells of a keyup then.
    if (event.ctrlKey || event.metaKey || event.altKey) return this.releaseAll();
    if (event.isComposing || keepsKey(document.activeElement, event.code)) return;
    if (this.#state.press(event.code)) {
      event.preventDefault();
      if (!event.repeat) this.#onPad(this.#state.pad);
      return;
    }
    const command = Object.hasOwn(commandKeys, event.code) ? commandKeys[event.code] : null;
    if (!command) return;
    event.preventDefault();
    if (!event.repeat && !event.shiftKey) this.#onCommand(command, event);
  }

  #up(event) {
    if (!this.#state.release(event.code)) return;
    event.preventDefault();
    this.#onPad(this.#state.pad);
  }
}
