// What the page knows about game systems. Pure.

import { Button } from './wire.js';

const all = [Button.A, Button.B, Button.X, Button.Y, Button.L, Button.R];

// order: place in the menu; buttons: what a touch pad needs beside d-pad, START and SELECT.
const systems = {
  nes: { name: 'NES', hue: 6, buttons: [Button.A, Button.B] },
  snes: { name: 'Super NES', hue: 262, buttons: all },
  gb: { name: 'Game Boy', hue: 78, buttons: [Button.A, Button.B] },
  gbc: { name: 'Game Boy Color', hue: 172, buttons: [Button.A, Button.B] },
  gba: { name: 'Game Boy Advance', hue: 236, buttons: [Button.A, Button.B, Button.L, Button.R] },
  pce: { name: 'PC Engine', hue: 28, buttons: all },
  vb: { name: 'Virtual Boy', hue: 350, buttons: [Button.A, Button.B, Button.L, Button.R] },
  wswan: { name: 'WonderSwan', hue: 200, buttons: all },
  test: { name: 'Test', hue: 210, buttons: all },
};

const order = Object.keys(systems);

/** Everything about a system; one that is not known gets its own name in capitals. */
export function systemOf(id) {
  if (Object.hasOwn(systems, id)) return { id, ...systems[id] };
  return { id, name: id ? String(id).toUpperCase() : 'Other', hue: 210, buttons: all };
}

function rank(id) {
  if (id === 'test') return 1e6;
  const n = order.indexOf(id);
  return n < 0 ? 1e3 : n;
}

/**
 * Games by system, systems in the order of their age, titles by alphabet.
 * @param {{id: string, title: string, system: string}[]} games
 * @param {string} [search] words that must all occur in title or system
 * @returns {{system: ReturnType<systemOf>, games: object[]}[]}
 */
export function group(games, search = '') {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const groups = new Map();
  for (const game of games) {
    const system = systemOf(game.system);
    const text = `${game.title} ${system.name} ${game.system}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    if (!groups.has(system.id)) groups.set(system.id, { system, games: [] });
    groups.get(system.id).games.push(game);
  }
  const sorted = [...groups.values()].sort((a, b) =>
    rank(a.system.id) - rank(b.system.id) || a.system.name.localeCompare(b.system.name));
  for (const one of sorted) one.games.sort((a, b) => a.title.localeCompare(b.title, undefined, { numeric: true }));
  return sorted;
}

/** A list from the server, with what is not a game left out. */
export function validGames(list) {
  if (!Array.isArray(list)) return [];
  return list.filter((g) => g && typeof g.id === 'string' && /^[a-z0-9][a-z0-9-]{0,63}$/.test(g.id))
    .map((g) => ({ id: g.id, title: String(g.title || g.id), system: String(g.system ?? ''), players: g.players | 0 }));
}
