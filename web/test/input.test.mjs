import test from 'node:test';
import assert from 'node:assert/strict';
import { Button, bit, encode, int16, merge, released, samePad } from '../app/wire.js';
import { InputSender } from '../app/sender.js';
import { FakeClock } from './fakes.mjs';

const held = (...buttons) => ({ ...released, buttons: buttons.reduce((sum, b) => sum | bit(b), 0) });

/** Reads a datagram as the worker does. */
function decode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  assert.equal(view.getUint8(0), 1);
  const n = view.getUint8(1);
  assert.equal(bytes.length, 6 + 10 * n);
  const states = Array.from({ length: n }, (_, i) => {
    const at = 6 + 10 * i;
    return { buttons: view.getUint16(at), lx: view.getInt16(at + 2), ly: view.getInt16(at + 4), rx: view.getInt16(at + 6), ry: view.getInt16(at + 8) };
  });
  return { sequence: view.getUint32(2), states };
}

test('encode writes the bytes of the contract', () => {
  const bytes = encode(0x01020304, [{ buttons: 0x8101, lx: -32768, ly: 32767, rx: -1, ry: 256 }]);
  assert.deepEqual([...bytes], [1, 1, 1, 2, 3, 4, 0x81, 0x01, 0x80, 0x00, 0x7f, 0xff, 0xff, 0xff, 0x01, 0x00]);
});

test('encode takes at most four states, newest first, and wraps the number', () => {
  const states = [held(Button.A), held(Button.B), held(Button.X), held(Button.Y), held(Button.L)];
  const { sequence, states: out } = decode(encode(2 ** 32 + 7, states));
  assert.equal(sequence, 7);
  assert.deepEqual(out, states.slice(0, 4));
  assert.throws(() => encode(1, []), RangeError);
});

test('int16 clamps whatever comes', () => {
  for (const [v, want] of [[40000, 32767], [-40000, -32768], [1.6, 2], [NaN, 0], [-0.2, 0]]) {
    assert.equal(int16(v) + 0, want);
  }
});

test('merge holds what any source holds and follows the furthest stick', () => {
  const sum = merge([held(Button.A), { ...held(Button.UP), lx: 100, ry: -5 }, { ...released, lx: -200 }]);
  assert.deepEqual(sum, { buttons: bit(Button.A) | bit(Button.UP), lx: -200, ly: 0, rx: 0, ry: -5 });
  assert.ok(samePad(merge([]), released));
});

function sending() {
  const clock = new FakeClock();
  const sent = [];
  const sender = new InputSender((bytes) => sent.push({ at: clock.now(), ...decode(bytes) }), clock);
  return { clock, sent, sender };
}

test('a change goes out at once and is repeated soon', async () => {
  const { clock, sent, sender } = sending();
  sender.set('keyboard', held(Button.A));
  assert.equal(sent.length, 1);
  await clock.pass(100);
  assert.deepEqual(sent.map((d) => d.at), [0, 10, 30, 80]);
  assert.deepEqual(sent.map((d) => d.sequence), [1, 2, 3, 4]);
});

test('while held, never more than 50 ms of silence', async () => {
  const { clock, sent, sender } = sending();
  sender.set('keyboard', held(Button.A));
  await clock.pass(2000);
  const gaps = sent.slice(1).map((d, i) => d.at - sent[i].at);
  assert.ok(Math.max(...gaps) <= 50);
  assert.ok(sent.length > 40);
});

test('after release a few repeats, then silence', async () => {
  const { clock, sent, sender } = sending();
  sender.set('keyboard', held(Button.A));
  sender.set('keyboard', released);
  await clock.pass(5000);
  const after = sent.filter((d) => d.states[0].buttons === 0);
  assert.ok(after.length >= 4 && after.length <= 8, `${after.length} datagrams after release`);
  assert.ok(after.at(-1).at < 500);
  assert.equal(clock.pending, 0);
});

test('a tap survives the loss of its datagrams', async () => {
  const { clock, sent, sender } = sending();
  sender.set('keyboard', held(Button.A));
  await clock.pass(5);
  sender.set('keyboard', released);
  const [, release] = sent;
  assert.deepEqual(release.states.map((s) => s.buttons), [0, bit(Button.A)]);
  await clock.pass(12);
  assert.ok(sent.at(-1).states.some((s) => s.buttons === bit(Button.A)), 'the repeat no longer knows the press');
});

test('a number always means the same state', async () => {
  const { clock, sent, sender } = sending();
  for (let i = 0; i < 30; i++) {
    sender.set('keyboard', i % 2 ? released : held(Button.A));
    await clock.pass(7 * (i % 5));
  }
  const meaning = new Map();
  for (const { sequence, states } of sent) {
    states.forEach((state, k) => {
      const before = meaning.get(sequence - k);
      if (before !== undefined) assert.equal(state.buttons, before);
      meaning.set(sequence - k, state.buttons);
    });
  }
});

test('sources are merged and let go one by one', () => {
  const { sent, sender } = sending();
  sender.set('keyboard', held(Button.A));
  sender.set('touch', held(Button.A, Button.B));
  sender.set('keyboard', released);
  assert.equal(sender.pad.buttons, bit(Button.A) | bit(Button.B));
  sender.set('touch', held(Button.A, Button.B)); // no change: no datagram
  assert.equal(sent.length, 2);
  sender.set('pad 0', { ...released, lx: 900 });
  sender.releaseAll();
  assert.ok(samePad(sender.pad, released));
});

test('a stopped sender is silent for ever', async () => {
  const { clock, sent, sender } = sending();
  sender.set('keyboard', held(Button.A));
  sender.stop();
  sender.set('keyboard', held(Button.B));
  sender.refresh();
  await clock.pass(1000);
  assert.equal(sent.length, 1);
});
