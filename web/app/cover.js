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
  const base = (hue + (random() - 0.5) * 70 + 360) % 360;
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
  const scene = game.system === 'test' ? scenes.card : scenes.all[seed % scenes.all.length];
  scene(context, palette, random, WIDTH, HEIGHT);
  if (game.system !== 'test') sprite(context, palette, random);
  title(context, palette, game.title);
}

// A mirrored creature, eleven pixels square, with an outline.
function sprite(context, palette, random) {
  const size = 11;
  const half = Math.ceil(size / 2);
  const lit = new Map();
  for (let y = 1; y < size - 1; y++) {
    for (let x = 1; x < half; x++) {
      const middle = x / half;
      if (random() > 0.28 + 0.5 * middle * Math.abs(y - 5) / 5 - (middle > 0.6 ? 0.22 : 0)) continue;
      const colour = random() < 0.2 ? palette.light : y > 6 ? palette.shade : palette.hero;
      lit.set(`${x},${y}`, colour);
      lit.set(`${size - 1 - x},${y}`, colour);
    }
  }
  for (const eye of [3, 7]) lit.set(`${eye},4`, palette.ink);
  const scale = 2;
  const left = WIDTH / 2 - (size * scale) / 2;
  const top = HEIGHT - size * scale - 6;
  const box = (key, colour, grow) => {
    const [x, y] = key.split(',').map(Number);
    context.fillStyle = colour;
    context.fillRect(left + x * scale - grow, top + y * scale - grow, scale + 2 * grow, scale + 2 * grow);
  };
  for (const key of lit.keys()) box(key, palette.ink, 1);
  for (const [key, colour] of lit) box(key, colour, 0);
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
