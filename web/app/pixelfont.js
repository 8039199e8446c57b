// Our own 5x5 capital letters, for the wordmark and the covers. Pure but for
// `draw`, which fills rectangles of a canvas.

// Five rows a glyph, five bits a row, written as two base-36-free hex digits a row.
const glyphs = {
  A: '0e111f1111', B: '1e111e111e', C: '0f1010100f', D: '1e1111111e', E: '1f101e101f', F: '1f101e1010',
  G: '0f1013110f', H: '11111f1111', I: '1f0404041f', J: '070202120c', K: '11121c1211', L: '101010101f',
  M: '111b151111', N: '1119151311', O: '0e1111110e', P: '1e111e1010', Q: '0e1115120d', R: '1e111e1211',
  S: '0f100e011e', T: '1f04040404', U: '111111110e', V: '1111110a04', W: '1111151b11', X: '110a040a11',
  Y: '110a040404', Z: '1f0204081f', 0: '0e1315190e', 1: '040c04041f', 2: '1e010e101f', 3: '1e010e011e',
  4: '11111f0101', 5: '1f101e011e', 6: '0e101e110e', 7: '1f01020404', 8: '0e110e110e', 9: '0e110f010e',
  '-': '00000e0000', '.': '0000000004', '!': '0404040004', "'": '0404000000', '&': '0c120d120d', '+': '00040e0400',
  ':': '0004000400', '?': '1e01060004', '/': '0102040810',
};

export const GLYPH = 5; // pixels wide and high
export const ADVANCE = 6;

/** The text in letters there are: accents off, capitals, the rest as blanks. */
export function plain(text) {
  return [...text.normalize('NFD').replace(/\p{M}/gu, '').toUpperCase()]
    .map((c) => (Object.hasOwn(glyphs, c) ? c : ' ')).join('').replace(/ +/g, ' ').trim();
}

/** The lit pixels of a line of text, as [x, y] from its top left corner. */
export function pixels(text) {
  const lit = [];
  [...plain(text)].forEach((c, i) => {
    const rows = glyphs[c];
    for (let y = 0; rows && y < GLYPH; y++) {
      const bits = parseInt(rows.slice(2 * y, 2 * y + 2), 16);
      for (let x = 0; x < GLYPH; x++) if (bits & (0x10 >> x)) lit.push([i * ADVANCE + x, y]);
    }
  });
  return lit;
}

export const textWidth = (text) => Math.max(0, plain(text).length * ADVANCE - 1);

/** An SVG path of the text, one unit a pixel. Neighbours in a row are one run. */
export function pathOf(text) {
  let d = '';
  let run = null;
  for (const [x, y] of pixels(text)) {
    if (run && run.y === y && run.x + run.n === x) {
      run.n++;
      continue;
    }
    if (run) d += `M${run.x} ${run.y}h${run.n}v1h-${run.n}z`;
    run = { x, y, n: 1 };
  }
  return run ? `${d}M${run.x} ${run.y}h${run.n}v1h-${run.n}z` : d;
}

/** Breaks a title into at most `lines` lines of `width` letters; what is left is cut. */
export function wrap(text, width, lines) {
  const out = [''];
  for (const word of plain(text).split(' ')) {
    const last = out[out.length - 1];
    if (last === '') out[out.length - 1] = word.slice(0, width);
    else if (last.length + 1 + word.length <= width) out[out.length - 1] = `${last} ${word}`;
    else if (out.length < lines) out.push(word.slice(0, width));
    else break;
  }
  return out.filter(Boolean);
}

/** Draws a line of text on a 2D canvas. */
export function draw(context, text, left, top, colour, scale = 1) {
  context.fillStyle = colour;
  for (const [x, y] of pixels(text)) context.fillRect(left + x * scale, top + y * scale, scale, scale);
}
