// Which regions there are and how far away each is. Measured once: several
// requests over a warm connection, of which the median counts.

const KEY = 'cloudretro.zones';
const PATH = '/api/v1/zones';
const PROBES = 5; // after a first one, which opens the connection
const LIMIT = 1500; // ms that all measuring may take
const MOMENT = 400; // ms that a start waits for it
const MAX_ZONES = 64;

/** The list of the server, with what is not a zone left out. */
export function validZones(list) {
  if (!Array.isArray(list)) return [];
  return list.filter((z) => z && typeof z.name === 'string' && z.name !== '' && z.name.length <= 64).slice(0, MAX_ZONES)
    .map((z) => ({ name: z.name, probe: typeof z.probe === 'string' ? z.probe : '' }));
}

/** The middle one, rounded; of an even number the lower one. */
export function median(times) {
  const sorted = [...times].sort((a, b) => a - b);
  return Math.round(sorted[(sorted.length - 1) >> 1]);
}

/** What the select of the menu offers: zones by their distance, those without one last. */
export function byDistance(zones, latencies) {
  const far = (name) => latencies[name] ?? Infinity;
  return [...zones].sort((a, b) => (far(a.name) === far(b.name) ? 0 : far(a.name) - far(b.name)) || a.name.localeCompare(b.name));
}

// The browser's own figure leaves out what the page was busy with.
function precise(url, count, fallback) {
  const entries = performance.getEntriesByName(url);
  const last = entries.length > count ? entries.at(-1) : null;
  return last?.requestStart > 0 && last.responseStart > last.requestStart ? last.responseStart - last.requestStart : fallback;
}

async function once(url, get, signal) {
  const count = performance.getEntriesByName(url).length;
  const began = performance.now();
  const response = await get(url, { cache: 'no-store', credentials: 'omit', signal });
  await response.arrayBuffer();
  const took = performance.now() - began;
  if (!response.ok) throw new Error(String(response.status));
  return precise(url, count, took);
}

/** @returns {Promise<number | null>} ms, or null if it cannot be reached in time */
export async function measure(url, get = fetch, limit = LIMIT) {
  const signal = AbortSignal.timeout(limit);
  const times = [];
  try {
    for (let i = 0; i <= PROBES; i++) times.push(await once(url, get, signal));
  } catch {
    // what is there has to do
  }
  if (times.length > 1) times.shift();
  return times.length > 0 ? median(times) : null;
}

export class Zones {
  #tab;
  #settings;
  #get;
  #base;
  #list = null; // null: not known yet
  #latencies = {};
  #done = null;

  /**
   * @param {object} options
   * @param {import('./settings.js').TabMemory} options.tab
   * @param {import('./settings.js').Settings} options.settings
   * @param {string} options.base the page's address
   */
  constructor({ tab, settings, base, get = (...args) => fetch(...args) }) {
    this.#tab = tab;
    this.#settings = settings;
    this.#get = get;
    this.#base = base;
    this.#recall();
  }

  /** All zones, nearest first; only more than one is a choice. */
  get list() {
    return byDistance(this.#list ?? [], this.#latencies);
  }

  get latencies() {
    return this.#latencies;
  }

  /** The zone that was chosen, '' for the nearest. */
  get choice() {
    const zone = this.#settings.get('zone');
    return (this.#list ?? []).some(({ name }) => name === zone) ? zone : '';
  }

  set choice(zone) {
    this.#settings.set('zone', zone);
  }

  /** Asks for the list and measures what is not measured yet; once. @returns {Promise<void>} */
  look() {
    this.#done ??= this.#look();
    return this.#done;
  }

  /** What to send with a start. It waits a moment if there is something to wait for. */
  async wish() {
    const known = this.#list !== null && this.#list.every(({ name, probe }) => !probe || Object.hasOwn(this.#latencies, name));
    // A single zone is no choice, and most servers have no more.
    const worth = !known && (this.#list === null ? this.#settings.get('zone') !== '' : this.#list.length > 1);
    if (worth) await Promise.race([this.look(), new Promise((resolve) => setTimeout(resolve, MOMENT))]);
    if ((this.#list?.length ?? 0) < 2) return {};
    return { zone: this.choice || undefined, latencies: { ...this.#latencies } };
  }

  async #look() {
    try {
      const response = await this.#get(PATH, { headers: { accept: 'application/json' } });
      if (!response.ok) return;
      this.#list = validZones(await response.json());
    } catch {
      return; // starts go without
    }
    const zone = this.#settings.get('zone');
    if (zone && !this.choice) this.choice = ''; // it is gone
    if (this.#list.length > 1) await Promise.all(this.#list.map((one) => this.#measure(one)));
    this.#keep();
  }

  async #measure({ name, probe }) {
    if (!probe || Object.hasOwn(this.#latencies, name)) return;
    const time = await measure(new URL(probe, this.#base).href, this.#get).catch(() => null);
    if (time !== null) this.#latencies[name] = Math.min(60000, time);
  }

  #recall() {
    const { list, latencies } = this.#tab.read(KEY) ?? {};
    if (list) this.#list = validZones(list);
    for (const { name } of this.#list ?? []) {
      if (Number.isInteger(latencies?.[name])) this.#latencies[name] = latencies[name];
    }
  }

  #keep() {
    const names = new Set(this.#list.map(({ name }) => name));
    this.#latencies = Object.fromEntries(Object.entries(this.#latencies).filter(([name]) => names.has(name)));
    this.#tab.write(KEY, { list: this.#list, latencies: this.#latencies });
  }
}
