// What the page remembers in this browser. Everything is optional: without
// storage the page forgets, and plays.

const KEY = 'cloudretro';
const defaults = Object.freeze({ volume: 0.8, muted: false, touch: 'auto', withoutGCM: '' });

/** Takes only what is sane out of what was stored. Pure. */
export function sane(stored) {
  const settings = { ...defaults };
  if (!stored || typeof stored !== 'object') return settings;
  if (Number.isFinite(stored.volume)) settings.volume = Math.max(0, Math.min(1, stored.volume));
  if (typeof stored.muted === 'boolean') settings.muted = stored.muted;
  if (['auto', 'on', 'off'].includes(stored.touch)) settings.touch = stored.touch;
  if (typeof stored.withoutGCM === 'string') settings.withoutGCM = stored.withoutGCM.slice(0, 512);
  return settings;
}

export class Settings {
  #storage;
  #values;

  /** @param {Storage | null} storage */
  constructor(storage) {
    this.#storage = storage;
    let stored = null;
    try {
      stored = JSON.parse(storage?.getItem(KEY) ?? 'null');
    } catch {
      // unreadable: as if there were none
    }
    this.#values = sane(stored);
  }

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    this.#values = sane({ ...this.#values, [name]: value });
    try {
      this.#storage?.setItem(KEY, JSON.stringify(this.#values));
    } catch {
      // full or forbidden
    }
  }
}

/** Whether this version of the browser is known to lack AES-GCM. */
export function srtpMemory(settings, userAgent) {
  const agent = userAgent.slice(0, 512);
  return {
    get plain() { return agent !== '' && settings.get('withoutGCM') === agent; },
    learn() { settings.set('withoutGCM', agent); },
  };
}

/** The browser's storage, or null where it is forbidden. */
export function browserStorage(kind = 'localStorage') {
  try {
    return window[kind];
  } catch {
    return null;
  }
}
