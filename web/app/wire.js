// The `input` datagram: what the page says about the pad it holds. Pure.
//
//   byte 0     version, 1
//   byte 1     n, the number of states, 1..4
//   bytes 2-5  sequence number of the newest state, uint32
//   then n states of 10 bytes, newest first; state k has the number sequence-k:
//              buttons uint16, lx ly rx ry int16
//
// Everything is big endian. A datagram may be lost, doubled or late: each one
// carries the three states before it, so a press survives.

export const VERSION = 1;
export const HISTORY = 4;

/** Bit numbers of the buttons (libretro.h, RETRO_DEVICE_ID_JOYPAD_*). */
export const Button = Object.freeze({
  B: 0, Y: 1, SELECT: 2, START: 3, UP: 4, DOWN: 5, LEFT: 6, RIGHT: 7,
  A: 8, X: 9, L: 10, R: 11, L2: 12, R2: 13, L3: 14, R3: 15,
});

/** @typedef {{buttons: number, lx: number, ly: number, rx: number, ry: number}} Pad */

/** Nothing is held. @type {Readonly<Pad>} */
export const released = Object.freeze({ buttons: 0, lx: 0, ly: 0, rx: 0, ry: 0 });

export const bit = (n) => 1 << n;

const AXES = ['lx', 'ly', 'rx', 'ry'];

export const samePad = (a, b) => a.buttons === b.buttons && AXES.every((axis) => a[axis] === b[axis]);

export const isReleased = (pad) => samePad(pad, released);

/** Clamps to int16. */
export const int16 = (v) => Math.max(-32768, Math.min(32767, Math.round(v) || 0));

/**
 * One datagram.
 * @param {number} sequence number of states[0]; taken modulo 2^32
 * @param {Pad[]} states newest first; at most HISTORY are used, at least one is needed
 * @returns {Uint8Array}
 */
export function encode(sequence, states) {
  const n = Math.min(states.length, HISTORY);
  if (n < 1) throw new RangeError('an input datagram needs a state');
  const bytes = new Uint8Array(6 + 10 * n);
  const view = new DataView(bytes.buffer);
  bytes[0] = VERSION;
  bytes[1] = n;
  view.setUint32(2, sequence >>> 0);
  for (let i = 0; i < n; i++) {
    const at = 6 + 10 * i;
    view.setUint16(at, states[i].buttons & 0xffff);
    AXES.forEach((axis, k) => view.setInt16(at + 2 + 2 * k, int16(states[i][axis])));
  }
  return bytes;
}

/**
 * All sources as one pad: a button is held if any source holds it, an axis
 * follows whoever pushes it furthest.
 * @param {Iterable<Pad>} pads
 * @returns {Pad}
 */
export function merge(pads) {
  const sum = { ...released };
  for (const pad of pads) {
    sum.buttons |= pad.buttons & 0xffff;
    for (const axis of AXES) {
      if (Math.abs(pad[axis]) > Math.abs(sum[axis])) sum[axis] = int16(pad[axis]);
    }
  }
  return sum;
}
