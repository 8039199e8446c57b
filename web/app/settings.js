// What the page remembers in this browser. Everything is optional: without
// storage the page forgets, and plays.

const KEY = 'cloudretro';
const TAB_KEY = 'cloudretro.session';
const defaults = Object.freeze({ volume: 0.8, muted: false, touch: 'auto', withoutGCM: '', zone: '' });

/** Takes only what is sane out of what was stored. Pure. */
export function sane(stored) {
  const settings = { ...defaults };
  if (!stored || typeof stored !== 'object') return settings;
  if (Number.isFinite(stored.volume)) settings.volume = Math.max(0, Math.min(1, stored.volume));
  if (typeof stored.muted === 'boolean') settings.muted = stored.muted;
  if (['auto', 'on', 'off'].includes(stored.touch)) settings.touch = stored.touch;
  if (typeof stored.withoutGCM === 'string') settings.withoutGCM = stored.withoutGCM.slice(0, 512);
  if (typeof stored.zone === 'string') settings.zone = stored.zone.slice(0, 64);
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

/** What this tab takes its session up again by after a reload; a copied tab has it, too. */
export class TabMemory {
  #storage;

  /** @param {Storage | null} storage that lasts as long as the tab */
  constructor(storage) {
    this.#storage = storage;
  }

  /** @param {{room: string, game: string, token: string}} session room is '' while one waits in line */
  keep(session) {
    this.write(TAB_KEY, session);
  }

  /** @returns {string | undefined} the token for a room, or for a place in line for a game */
  recall({ room, game }) {
    const kept = this.read(TAB_KEY);
    if (typeof kept?.token !== 'string' || kept.token.length > 1024) return undefined;
    return (room ? kept.room === room : kept.room === '' && kept.game === game) ? kept.token : undefined;
  }

  forget() {
    this.write(TAB_KEY, null);
  }

  read(key) {
    try {
      return JSON.parse(this.#storage?.getItem(key) ?? 'null');
    } catch {
      return null;
    }
  }

  write(key, value) {
    try {
      if (value === null) this.#storage?.removeItem(key);
      else this.#storage?.setItem(key, JSON.stringify(value));
    } catch {
      // full or forbidden
    }
  }
}

/** The browser's storage, or null where it is forbidden. */
export function browserStorage(kind = 'localStorage') {
  try {
    return window[kind];
  } catch {
    return null;
  }
}
