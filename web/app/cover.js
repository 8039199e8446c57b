// A cover for every game, drawn from its id: the same id gives the same picture.

import { systemOf } from './systems.js';
import { ADVANCE, draw, textWidth, wrap } from './pixelfont.js';
import { scenes } from './scenes.js';

export const WIDTH = 96;
export const HEIGHT = 72;

/** A seed out of a text (FNV-1a, 32 bits). */
export function seedOf(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Random numbers 0..1 out of a seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Colours of a cover: near its system's hue, never twice the same. */
export function paletteOf(hue, random) {
  const base = (hue + (random() - 0.5) * 130 + 360) % 360;
  const warm = (base + 150 + random() * 60) % 360;
  const hsl = (h, s, l) => `hsl(${Math.round(h % 360)} ${s}% ${l}%)`;
  return {
    sky: [hsl(base, 55, 14), hsl(base + 8, 55, 22), hsl(base + 18, 58, 33), hsl(base + 30, 62, 47)],
    far: hsl(base + 5, 45, 20),
    mid: hsl(base - 6, 50, 14),
    near: hsl(base - 12, 55, 8),
    glow: hsl(warm, 88, 66),
    hero: hsl(warm, 85, 60),
    shade: hsl(warm, 70, 38),
    light: hsl(warm, 60, 88),
    ink: hsl(base, 60, 5),
  };
}

/** Draws the cover of a game on a canvas. */
export function paint(canvas, game) {
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext('2d');
  const seed = seedOf(game.id);
  const random = randomOf(seed);
  const palette = paletteOf(systemOf(game.system).hue, random);
  const scene = game.system === 'test' ? scenes.card : scenes.all[(seed >>> 7) % scenes.all.length];
  scene(context, palette, random, WIDTH, HEIGHT);
  if (game.system === 'test') return; // the card speaks for itself
  sprite(context, palette, random);
  title(context, palette, game.title);
}

const SIZE = 12; // pixels of a creature, before it is doubled

// Half of a creature: dense in the middle, ragged at the edge, without crumbs.
function half(random) {
  const width = SIZE / 2;
  const raw = (x, y) => Math.hypot((x + 0.5) / width, (y + 0.5 - width) / width) + random() * 0.75 < 1.12;
  const grid = Array.from({ length: SIZE }, (_, y) => Array.from({ length: width }, (_, x) => raw(x, y)));
  const at = (x, y) => grid[y]?.[x < 0 ? -x - 1 : x] ?? false; // mirrored at x = 0
  return grid.map((row, y) => row.map((lit, x) => {
    const near = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1);
    return lit ? near > 0 : near > 2;
  }));
}

// A mirrored creature with eyes and an outline.
function sprite(context, palette, random) {
  const grid = half(random);
  const scale = 2;
  const middle = WIDTH / 2;
  const top = HEIGHT - SIZE * scale - 5;
  const box = (colour, x, y, grow = 0) => {
    context.fillStyle = colour;
    for (const left of [middle + x * scale, middle - (x + 1) * scale]) {
      context.fillRect(left - grow, top + y * scale - grow, scale + 2 * grow, scale + 2 * grow);
    }
  };
  const each = (f) => grid.forEach((row, y) => row.forEach((lit, x) => lit && f(x, y)));
  const belt = 7 + Math.floor(random() * 3);
  each((x, y) => box(palette.ink, x, y, 2));
  each((x, y) => box(y < 3 ? palette.light : y === belt ? palette.glow : y > 7 ? palette.shade : palette.hero, x, y));
  const eye = 1 + Math.floor(random() * 2);
  box(palette.ink, eye, 5);
  box(palette.ink, eye, 4);
  box('#fff', eye + 1, 4);
}

function title(context, palette, text) {
  const long = wrap(text, 15, 2);
  const big = wrap(text, 7, 2);
  const scale = big.join(' ') === long.join(' ') ? 2 : 1;
  const lines = scale === 2 ? big : long;
  lines.forEach((line, i) => {
    const left = Math.round((WIDTH - textWidth(line) * scale) / 2);
    const top = 7 + i * (ADVANCE + 1) * scale;
    for (const [dx, dy] of [[-1, 0], [1, 0], [0, -1], [0, 1], [1, 1], [0, 2], [1, 2]]) {
      draw(context, line, left + dx, top + dy, palette.ink, scale);
    }
    draw(context, line, left, top, palette.light, scale);
  });
}
