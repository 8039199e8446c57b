// Workers, rooms and sessions as tables: what stands in which cell, in which
// order, and what is found. Pure.

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
const numbers = new Intl.NumberFormat('en');

/** A number for people. */
export const count = (n) => numbers.format(n ?? 0);

/** Names of what there is so many of. */
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

/** How long something has been, by two clocks that need not agree. */
export function age(since, now) {
  const ms = now - Date.parse(since ?? '');
  if (Number.isNaN(ms)) return '';
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3600) % 24} h`;
}

/** What of a worker's places is taken by rooms, held for somebody, and free. */
export function places(worker) {
  const all = Math.max(0, worker.places);
  const taken = Math.min(all, Math.max(0, worker.rooms));
  const held = Math.max(0, Math.min(all - taken, all - worker.free - taken));
  return { all, taken, held, free: all - taken - held };
}

const states = Object.freeze({
  ready: ['Ready', 3],
  draining: ['Draining', 2],
  overloaded: ['Overloaded', 1],
  silent: ['Silent', 0],
});

const when = (since, now) => ({ text: age(since, now), time: since });

/** What a cell's row knows beside itself: the time, and the names of workers. */
const nameOf = (id, { names }) => names.get(id) ?? id ?? '';

function placesCell(worker) {
  const { all, taken, held, free } = places(worker);
  return { text: `${taken} of ${all}`, sub: held > 0 ? `${held} held` : '', bar: [taken, held, free], say: `taken, ${held} held, ${free} free` };
}

const workers = {
  title: 'Workers',
  empty: 'No worker is connected. Start one with cloudretro --role=worker and the secret of this coordinator.',
  by: { column: 'name', down: false },
  action: (w) => (w.state === 'draining' ? { name: 'undrain', label: 'Take games again' } : { name: 'drain', label: 'Drain' }),
  name: (w) => w.name || w.id,
  columns: [
    { id: 'name', label: 'Worker', value: (w) => w.name || w.id, cell: (w) => ({ text: w.name || w.id, sub: w.id === w.name ? '' : w.id }) },
    { id: 'zone', label: 'Zone', value: (w) => w.zone, cell: (w) => ({ text: w.zone || '–' }) },
    { id: 'state', label: 'State', value: (w) => states[w.state]?.[1] ?? -1, cell: (w) => ({ text: states[w.state]?.[0] ?? w.state, state: w.state }) },
    { id: 'places', label: 'Places taken', down: true, value: (w) => places(w).taken, cell: placesCell },
    { id: 'sessions', label: 'Sessions', down: true, value: (w) => w.sessions, cell: (w) => ({ text: count(w.sessions), href: `#sessions/${w.id}`, say: `of ${w.name || w.id}` }) },
    { id: 'late', label: 'Late frames', down: true, value: (w) => w.late, cell: (w) => ({ text: `${w.late} ‰`, state: w.late >= 100 ? 'bad' : w.late >= 20 ? 'warn' : '' }) },
    { id: 'games', label: 'Games', down: true, value: (w) => w.games, cell: (w) => ({ text: count(w.games) }) },
    { id: 'since', label: 'Connected for', down: true, value: (w, c) => c.now - Date.parse(w.since), cell: (w, c) => when(w.since, c.now) },
  ],
};

const rooms = {
  title: 'Rooms',
  empty: 'Nobody plays at the moment.',
  by: { column: 'since', down: false },
  action: () => ({ name: 'evict', label: 'Evict' }),
  name: (r) => `${r.title || r.game}, room ${r.id}`,
  columns: [
    { id: 'game', label: 'Game', value: (r) => r.title || r.game, cell: (r) => ({ text: r.title || r.game, sub: r.id }) },
    { id: 'system', label: 'System', value: (r) => r.system, cell: (r) => ({ text: r.system || '–' }) },
    { id: 'worker', label: 'Worker', value: (r, c) => nameOf(r.worker, c), cell: (r, c) => ({ text: nameOf(r.worker, c), href: `#sessions/${r.worker}`, before: 'sessions at' }) },
    { id: 'players', label: 'Players', down: true, value: (r) => r.players, cell: (r) => ({ text: `${r.players} of ${r.seats}` }) },
    { id: 'viewers', label: 'Watching', down: true, value: (r) => r.viewers, cell: (r) => ({ text: count(r.viewers) }) },
    { id: 'closed', label: 'Door', value: (r) => (r.closed ? 1 : 0), cell: (r) => ({ text: r.closed ? 'By invitation' : 'Open' }) },
    { id: 'since', label: 'Open for', value: (r, c) => c.now - Date.parse(r.since ?? ''), cell: (r, c) => when(r.since, c.now) },
  ],
};

const seat = (s) => (s.player > 0 ? `Player ${s.player}` : 'Watches');

const sessions = {
  title: 'Sessions',
  empty: 'Nobody is connected to a game at the moment.',
  by: { column: 'since', down: false },
  action: () => ({ name: 'end', label: 'End' }),
  name: (s) => `the session of ${s.user?.name ?? 'a guest'}, ${seat(s).toLowerCase()} of ${s.game}`,
  columns: [
    { id: 'user', label: 'User', value: (s) => s.user?.name ?? '', cell: (s) => ({ text: s.user?.name ?? 'Guest', sub: s.user?.role === 'admin' ? 'admin' : '', faint: !s.user }) },
    { id: 'game', label: 'Game', value: (s) => s.game, cell: (s) => ({ text: s.game, sub: s.room }) },
    { id: 'player', label: 'Seat', value: (s) => s.player || 99, cell: (s) => ({ text: seat(s), sub: s.hosting ? 'host' : '' }) },
    { id: 'away', label: 'Here', value: (s) => (s.away ? 1 : 0), cell: (s) => (s.away ? { text: 'Away', state: 'warn' } : { text: 'Here' }) },
    { id: 'worker', label: 'Worker', value: (s, c) => nameOf(s.worker, c), cell: (s, c) => ({ text: nameOf(s.worker, c), href: `#rooms/${s.worker}`, before: 'rooms at' }) },
    { id: 'since', label: 'Since', value: (s, c) => c.now - Date.parse(s.since), cell: (s, c) => when(s.since, c.now) },
  ],
};

/** The tables by the name of their list in the API. */
export const views = Object.freeze({ workers, rooms, sessions });

/** What an address wants to see: #rooms, or #rooms/w1 for those of one worker. */
export function route(hash) {
  const [, view, worker = ''] = /^#([a-z]+)(?:\/([a-z0-9][a-z0-9-]{0,63}))?$/.exec(hash) ?? [];
  if (!Object.hasOwn(views, view ?? '')) return { view: 'workers', worker: '' };
  return { view, worker: view === 'workers' ? '' : worker };
}

/** All that is written in a row. */
function written(view, row, context) {
  const texts = view.columns.flatMap((column) => {
    const { text, sub } = column.cell(row, context);
    return column.id === 'since' ? [] : [text, sub ?? ''];
  });
  return [...texts, row.id, row.worker ?? '', row.game ?? ''].join('\n').toLowerCase();
}

/** The rows in which every word of the filter is written somewhere. */
export function find(view, rows, filter, context) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter((row) => {
    const text = written(view, row, context);
    return words.every((word) => text.includes(word));
  });
}

function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return a - b;
  }
  return collator.compare(String(a), String(b));
}

/** The rows in order of a column; those that are equal in order of their ids. */
export function sort(view, rows, by, context) {
  const column = view.columns.find((c) => c.id === by.column) ?? view.columns[0];
  const keyed = rows.map((row) => [column.value(row, context), row]);
  keyed.sort(([a, one], [b, other]) => (by.down ? compare(b, a) : compare(a, b)) || (one.id < other.id ? -1 : 1));
  return keyed.map(([, row]) => row);
}

/**
 * One page of rows. Those with the ids in `keep`, which somebody is about to
 * press a button in, stay where they are as long as they exist.
 */
export function page(rows, number, size, keep = []) {
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const at = Math.min(Math.max(0, number), pages - 1);
  let shown = rows.slice(at * size, at * size + size);
  if (keep.length > 0) {
    const byID = new Map(rows.map((row) => [row.id, row]));
    const kept = keep.filter((id) => byID.has(id)).map((id) => byID.get(id));
    const known = new Set(kept);
    shown = [...kept, ...shown.filter((row) => !known.has(row))].slice(0, Math.max(shown.length, 1));
  }
  return { rows: shown, page: at, pages, from: rows.length ? at * size + 1 : 0, to: Math.min(rows.length, (at + 1) * size) };
}
