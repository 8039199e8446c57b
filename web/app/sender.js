// When input is sent: at once on a change, then again soon (a datagram may be
// lost), every 50 ms while anything is held, a few times after all is released,
// then never until the next change.

import { HISTORY, encode, isReleased, merge, released, samePad } from './wire.js';

/** Waits before the repeats that follow a change, in ms; HELD from then on. */
const REPEATS = [10, 20, 50, 50, 50, 50];
const HELD = 50;

export class InputSender {
  #send;
  #clock;
  #sources = new Map();
  #history = [];
  #pad = released;
  #sequence = 0;
  #repeat = 0;
  #timer = null;
  #stopped = false;

  /**
   * @param {(datagram: Uint8Array) => void} send may drop what it cannot send
   * @param {import('./clock.js').Clock} clock
   */
  constructor(send, clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /** What is held, over all sources. @returns {import('./wire.js').Pad} */
  get pad() {
    return this.#pad;
  }

  /** What one source (keyboard, touch, a pad) holds now. */
  set(source, pad) {
    if (this.#stopped) return;
    if (isReleased(pad)) this.#sources.delete(source);
    else this.#sources.set(source, pad);
    const merged = merge(this.#sources.values());
    if (samePad(merged, this.#pad)) return;
    this.#pad = merged;
    this.refresh();
  }

  /** Lets go of everything, whoever holds it. */
  releaseAll() {
    for (const source of [...this.#sources.keys()]) this.set(source, released);
  }

  /** Sends the present state as if it had just changed; for a channel that opens. */
  refresh() {
    if (this.#stopped) return;
    this.#repeat = 0;
    this.#emit();
  }

  /** Ends the sending; the sender cannot be used again. */
  stop() {
    this.#stopped = true;
    this.#clock.cancel(this.#timer);
  }

  #emit() {
    // Repeats are numbered too: a worker that drops old numbers still hears
    // that the page is alive, and a number always means the same state.
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#history.unshift(this.#pad);
    this.#history.length = Math.min(this.#history.length, HISTORY);
    this.#send(encode(this.#sequence, this.#history));
    this.#clock.cancel(this.#timer);
    const more = this.#repeat < REPEATS.length;
    if (!more && isReleased(this.#pad)) return;
    this.#timer = this.#clock.after(more ? REPEATS[this.#repeat] : HELD, () => this.#emit());
    this.#repeat++;
  }
}
