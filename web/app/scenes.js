// Backgrounds of the covers, in whole pixels. Each takes a 2D canvas, a palette
// (cover.js), a random source, and the size.

const BAYER = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5];

const box = (c, colour, x, y, w, h) => {
  c.fillStyle = colour;
  c.fillRect(Math.round(x), Math.round(y), Math.round(w), Math.round(h));
};

// A dithered run from the first colour at the top to the last at `bottom`.
function sky(c, colours, width, bottom) {
  for (let y = 0; y < bottom; y++) {
    const place = (y / bottom) * (colours.length - 1);
    const below = Math.floor(place);
    for (let x = 0; x < width; x++) {
      const threshold = (BAYER[(y % 4) * 4 + (x % 4)] + 0.5) / 16;
      box(c, colours[below + (place - below > threshold ? 1 : 0)], x, y, 1, 1);
    }
  }
}

function disc(c, colour, cx, cy, r, stripe = 0) {
  for (let y = -r; y <= r; y++) {
    if (stripe && y > 0 && y % stripe === 0) continue;
    const half = Math.floor(Math.sqrt(r * r - y * y));
    box(c, colour, cx - half, cy + y, 2 * half + 1, 1);
  }
}

function stars(c, colour, random, width, height, count) {
  for (let i = 0; i < count; i++) box(c, colour, random() * width, random() * height, 1, random() < 0.15 ? 2 : 1);
}

// A ridge made of sines: from each column's height down to the bottom.
function ridge(c, colour, random, width, height, top, swing) {
  const parts = [1, 2, 5, 11].map((f) => ({ f: f * (0.8 + random() * 0.5), p: random() * 6.3, a: swing / (1 + f / 2) }));
  for (let x = 0; x < width; x++) {
    const y = parts.reduce((sum, { f, p, a }) => sum + a * Math.sin((f * x * 6.3) / width + p), top);
    box(c, colour, x, y, 1, height - y);
  }
}

function mountains(c, p, random, w, h) {
  sky(c, p.sky, w, h);
  disc(c, p.glow, w * (0.25 + random() * 0.5), h * 0.52, 15, 3);
  ridge(c, p.far, random, w, h, h * 0.6, 7);
  ridge(c, p.mid, random, w, h, h * 0.74, 5);
  ridge(c, p.near, random, w, h, h * 0.9, 2);
}

function space(c, p, random, w, h) {
  sky(c, [p.ink, p.near, p.sky[0], p.sky[1]], w, h);
  stars(c, p.light, random, w, h, 60);
  const [x, y, r] = [w * (0.2 + random() * 0.6), h * 0.5, 17];
  disc(c, p.sky[2], x, y, r);
  disc(c, p.sky[3], x - 3, y - 3, r - 5);
  for (let i = -r - 10; i <= r + 10; i++) {
    if (Math.abs(i) > r - 3 || i % 2 === 0) box(c, p.glow, x + i, y + i * 0.25, 1, 1);
  }
  ridge(c, p.near, random, w, h, h * 0.92, 3);
}

function city(c, p, random, w, h) {
  sky(c, p.sky, w, h);
  stars(c, p.light, random, w, h * 0.4, 16);
  disc(c, p.light, w * (0.15 + random() * 0.7), 22, 7);
  for (const [colour, low, high, lights] of [[p.far, 26, 18, 0], [p.near, 14, 20, 0.3]]) {
    for (let x = -2; x < w;) {
      const width = 7 + Math.floor(random() * 8);
      const height = low + random() * high;
      box(c, colour, x, h - height, width, height);
      for (let wy = h - height + 3; wy < h - 3; wy += 4) {
        for (let wx = x + 2; wx < x + width - 2; wx += 3) {
          if (random() < lights) box(c, p.glow, wx, wy, 1, 2);
        }
      }
      x += width + (random() < 0.3 ? 2 : 0);
    }
  }
}

function sea(c, p, random, w, h) {
  const shore = Math.round(h * 0.56);
  sky(c, p.sky, w, shore);
  disc(c, p.light, w / 2, h * 0.42, 12);
  for (let y = shore; y < h; y += 2) {
    const depth = (y - shore) / (h - shore);
    box(c, depth > 0.6 ? p.near : depth > 0.25 ? p.mid : p.far, 0, y, w, 2);
    for (let i = 0; i < 7; i++) box(c, p.glow, w / 2 + (random() - 0.5) * (16 + 60 * depth), y, 2 + 5 * depth, 1);
  }
}

function dungeon(c, p, random, w, h) {
  box(c, p.ink, 0, 0, w, h);
  for (let y = 0; y < h; y += 6) {
    for (let x = (y / 6) % 2 ? -6 : 0; x < w; x += 12) {
      box(c, random() < 0.25 ? p.far : p.mid, x, y, 11, 5);
      box(c, p.sky[1], x, y, 11, 1);
    }
  }
  for (const x of [w * 0.16, w * 0.84]) {
    for (let r = 13; r > 2; r -= 3) {
      c.globalAlpha = 0.16;
      disc(c, p.glow, x, h * 0.45, r);
    }
    c.globalAlpha = 1;
    box(c, p.shade, x - 1, h * 0.5, 3, 8);
    box(c, p.glow, x - 1, h * 0.42, 3, 5);
    box(c, p.light, x, h * 0.44, 1, 3);
  }
  disc(c, p.ink, w / 2, h * 0.62, 17);
  box(c, p.ink, w / 2 - 17, h * 0.62, 35, h);
  box(c, p.near, 0, h - 5, w, 5);
}

function hills(c, p, random, w, h) {
  sky(c, [p.sky[1], p.sky[2], p.sky[3]], w, h);
  for (let i = 0; i < 4; i++) {
    const [x, y] = [random() * w, 20 + random() * 16];
    for (const [dx, dy, width] of [[0, 0, 14], [3, -2, 8], [-3, 2, 20]]) box(c, p.light, x + dx, y + dy, width, 2);
  }
  ridge(c, p.far, random, w, h, h * 0.66, 6);
  box(c, p.near, 0, h - 9, w, 9);
  for (let x = 0; x < w; x += 8) {
    box(c, p.hero, x, h - 10, 7, 2);
    box(c, p.mid, x + 1, h - 6, 5, 4);
  }
  for (let i = 0; i < 3; i++) {
    const x = 8 * Math.floor(random() * 4) + (i === 2 ? 64 : i * 8);
    box(c, p.ink, x, h - 30, 8, 8);
    box(c, p.glow, x + 1, h - 29, 6, 6);
    box(c, p.shade, x + 3, h - 27, 2, 2);
  }
}

function grid(c, p, random, w, h) {
  sky(c, p.sky, w, h * 0.6);
  stars(c, p.light, random, w, h * 0.4, 24);
  disc(c, p.glow, w / 2, h * 0.5, 16, 2);
  box(c, p.ink, 0, h * 0.6, w, h);
  for (let i = -12; i <= 12; i++) {
    for (let y = Math.round(h * 0.6); y < h; y++) {
      const depth = (y - h * 0.6) / (h * 0.4) + 0.12;
      box(c, p.shade, w / 2 + i * 14 * depth, y, 1, 1);
    }
  }
  for (let step = 1, y = h * 0.6; y < h; step *= 1.5, y += step) box(c, p.hero, 0, y, w, 1);
}

// The test card: bars, a ramp, a circle.
function card(c, p, random, w, h) {
  const bars = ['#c0c0c0', '#c0c000', '#00c0c0', '#00c000', '#c000c0', '#c00000', '#0000c0', '#101010'];
  bars.forEach((colour, i) => box(c, colour, (i * w) / 8, 0, w / 8, h * 0.72));
  for (let i = 0; i < 16; i++) box(c, `rgb(${i * 17} ${i * 17} ${i * 17})`, (i * w) / 16, h * 0.72, w / 16, h * 0.3);
  disc(c, '#0c0e12', w / 2, h * 0.56, 15);
  disc(c, '#e8ecf5', w / 2, h * 0.56, 13);
  disc(c, '#0c0e12', w / 2, h * 0.56, 11);
  box(c, '#e8ecf5', w / 2 - 11, h * 0.56, 23, 1);
  box(c, '#e8ecf5', w / 2, h * 0.56 - 11, 1, 23);
}

export const scenes = Object.freeze({ all: [mountains, space, city, sea, dungeon, hills, grid], card });
