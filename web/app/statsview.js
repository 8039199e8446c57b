// The statistics overlay; it asks nobody anything while it is hidden.

import { h, replace } from './dom.js';
import { pick, rows, summarise } from './stats.js';

const PERIOD = 1000; // ms

export class StatsView {
  #session;
  #before = null;
  #ping = null;
  #timer = null;
  #list = h('dl');
  #element = h('aside', { class: 'stats', 'aria-label': 'Statistics', hidden: true }, this.#list);

  /** @param {import('./session.js').Session} session */
  constructor(session) {
    this.#session = session;
    session.addEventListener('pong', ({ detail }) => {
      const ms = performance.now() - Number(detail.t);
      if (ms >= 0 && ms < 60000) this.#ping = ms;
    });
  }

  get element() {
    return this.#element;
  }

  get visible() {
    return !this.#element.hidden;
  }

  set visible(visible) {
    this.#element.hidden = !visible;
    clearTimeout(this.#timer);
    this.#before = null;
    if (visible) this.#look();
  }

  async #look() {
    clearTimeout(this.#timer);
    this.#session.sendControl({ type: 'ping', t: performance.now() });
    const now = await sample(this.#session.peer?.pc);
    if (!this.visible) return;
    const figures = summarise(now, this.#before);
    this.#timer = setTimeout(() => this.#look(), this.#before ? PERIOD : PERIOD / 2);
    this.#before = now;
    const context = { ping: this.#ping, target: this.#session.geometry?.fps };
    replace(this.#list, ...rows(figures, context).map(([label, value]) =>
      h('div', { class: warn(label, figures) ? 'warn' : null }, h('dt', {}, label), h('dd', {}, value))));
  }
}

/** What a connection reports now; empty when there is none. */
export async function sample(pc) {
  try {
    return pick(await pc.getStats());
  } catch {
    return pick(new Map());
  }
}

function warn(label, figures) {
  return (label === 'freezes' && figures.freezes > 0) || (label === 'lost' && figures.videoLost > 0);
}
