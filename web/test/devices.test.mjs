import test from 'node:test';
import assert from 'node:assert/strict';
import { Button, bit } from '../app/wire.js';
import { KeyState, commandKeys, keepsKey, padKeys } from '../app/keys.js';
import { DEAD_ZONE, readPad, standardButtons, stick, stickDirections } from '../app/gamepad.js';
import { dpad, hitButton } from '../app/touch.js';
import { nearest } from '../app/navigate.js';

test('every button of the pad has a key, and no key does two things', () => {
  assert.deepEqual(new Set(Object.values(padKeys)), new Set(Object.values(Button)));
  for (const code of Object.keys(commandKeys)) assert.ok(!(code in padKeys), code);
});

test('the keys are those that players know', () => {
  const want = {
    KeyZ: 'A', KeyX: 'B', KeyC: 'X', KeyV: 'Y', KeyA: 'L', KeyS: 'R', Semicolon: 'L2', Quote: 'R2',
    Period: 'L3', Slash: 'R3', Enter: 'START', ShiftLeft: 'SELECT', ShiftRight: 'SELECT',
    ArrowUp: 'UP', ArrowDown: 'DOWN', ArrowLeft: 'LEFT', ArrowRight: 'RIGHT',
  };
  assert.deepEqual({ ...padKeys }, Object.fromEntries(Object.entries(want).map(([code, name]) => [code, Button[name]])));
  assert.deepEqual({ ...commandKeys }, { KeyF: 'fullscreen', KeyH: 'help', KeyM: 'mute', Backslash: 'stats', Escape: 'menu', F2: 'save', F4: 'load' });
});

test('two keys of one button: it is held until both are up', () => {
  const keys = new KeyState();
  assert.ok(keys.press('ShiftLeft'));
  assert.ok(keys.press('ShiftRight'));
  assert.ok(keys.release('ShiftLeft'));
  assert.equal(keys.pad.buttons, bit(Button.SELECT));
  assert.ok(keys.release('ShiftRight'));
  assert.equal(keys.pad.buttons, 0);
});

test('foreign keys, and names out of the prototype, press nothing', () => {
  const keys = new KeyState();
  for (const code of ['KeyQ', '', 'constructor', '__proto__', 'toString']) {
    assert.equal(keys.press(code), false);
    assert.equal(keys.release(code), false);
  }
  assert.equal(keys.pad.buttons, 0);
  keys.press('KeyZ');
  keys.clear();
  assert.equal(keys.pad.buttons, 0);
});

test('an element under focus keeps the keys it needs', () => {
  const element = (...selectors) => ({ matches: (list) => list.split(', ').some((s) => selectors.includes(s)) });
  const text = element('input:not([type=range])');
  const range = element('input[type=range]', ':focus-visible');
  const button = element('button', ':focus-visible');
  const clicked = element('button');
  const panel = element('button', '.overlay *');
  for (const [what, code, want] of [
    [text, 'KeyZ', true], [range, 'ArrowLeft', true], [range, 'KeyZ', false],
    [button, 'Enter', true], [button, 'KeyZ', false], [clicked, 'Enter', false], [panel, 'Enter', true], [null, 'Enter', false],
  ]) assert.equal(keepsKey(what, code), want);
});

const pad = (pressed = [], axes = [0, 0, 0, 0], values = {}) => ({
  buttons: Array.from({ length: 17 }, (_, i) => ({ pressed: pressed.includes(i), value: values[i] ?? 0 })), axes,
});

test('every standard button is mapped, by place and not by letter', () => {
  assert.equal(standardButtons.length, 16);
  assert.deepEqual(new Set(standardButtons), new Set(Object.values(Button)));
  const names = ['B', 'A', 'Y', 'X', 'L', 'R', 'L2', 'R2', 'SELECT', 'START', 'L3', 'R3', 'UP', 'DOWN', 'LEFT', 'RIGHT'];
  names.forEach((name, i) => assert.equal(readPad(pad([i])).buttons, bit(Button[name]), name));
});

test('the home button and missing parts do no harm', () => {
  assert.equal(readPad(pad([16])).buttons, 0);
  assert.deepEqual(readPad({ buttons: [], axes: [] }), { buttons: 0, lx: 0, ly: 0, rx: 0, ry: 0 });
  assert.equal(readPad(pad([], [NaN, NaN])).lx, 0);
});

test('triggers count when pulled a third', () => {
  assert.equal(readPad(pad([], [0, 0], { 6: 0.2 })).buttons, 0);
  assert.equal(readPad(pad([], [0, 0], { 6: 0.5 })).buttons, bit(Button.L2));
});

test('sticks: a round dead zone, full reach, in both sticks', () => {
  assert.deepEqual(stick(DEAD_ZONE * 0.7, DEAD_ZONE * 0.7), [0, 0]);
  assert.deepEqual(stick(1, 0), [32767, 0]);
  assert.deepEqual(stick(-1, 0), [-32768, 0]);
  const [x, y] = stick(1, 1); // corners of a square gate stay in range
  assert.ok(x > 22000 && x <= 32767 && x === y);
  const { lx, ly, rx, ry } = readPad(pad([], [0, 1, -1, 0]));
  assert.deepEqual([lx, ly, rx, ry], [0, 32767, -32768, 0]);
});

test('a trembling stick says the same thing', () => {
  assert.deepEqual(stick(0.6, 0.001), stick(0.6005, 0.0015));
});

test('the left stick is a d-pad too, with diagonals', () => {
  assert.equal(stickDirections(0.8, -0.8), bit(Button.RIGHT) | bit(Button.UP));
  assert.equal(stickDirections(-0.6, 0.1), bit(Button.LEFT));
  assert.equal(stickDirections(0.3, 0.3), 0);
  assert.equal(readPad(pad([], [0, 0, 1, 1])).buttons, 0);
});

test('the glass d-pad knows eight directions, a middle and an end', () => {
  const { UP, DOWN, LEFT, RIGHT } = Button;
  const at = (degrees, r = 0.8) => dpad(r * Math.cos((degrees * Math.PI) / 180), r * Math.sin((degrees * Math.PI) / 180));
  const want = [[RIGHT], [RIGHT, DOWN], [DOWN], [DOWN, LEFT], [LEFT], [LEFT, UP], [UP], [UP, RIGHT]];
  want.forEach((buttons, i) => {
    for (const off of [-20, 0, 20]) assert.equal(at(45 * i + off), buttons.reduce((sum, b) => sum | bit(b), 0), `${45 * i + off}`);
  });
  assert.equal(at(0, 0.1), 0);
  assert.equal(at(0, 1.6), 0);
  assert.equal(dpad(NaN, 0), 0);
});

test('a finger presses the nearest button within reach', () => {
  const buttons = [{ x: 0, y: 0, r: 10, button: Button.A }, { x: 24, y: 0, r: 10, button: Button.B }];
  assert.equal(hitButton(buttons, 2, 3), Button.A);
  assert.equal(hitButton(buttons, 11.5, 0), Button.A);
  assert.equal(hitButton(buttons, 12.5, 0), Button.B);
  assert.equal(hitButton(buttons, 60, 0), -1);
});

test('arrows go to the nearest cover in their direction', () => {
  const rect = (x, y) => ({ x, y, width: 10, height: 10 });
  const grid = [rect(0, 0), rect(20, 0), rect(40, 0), rect(0, 20), rect(20, 20), rect(0, 60)];
  const go = (from, direction) => nearest(grid[from], grid, direction);
  assert.equal(go(0, [1, 0]), 1);
  assert.equal(go(1, [1, 0]), 2);
  assert.equal(go(2, [1, 0]), -1);
  assert.equal(go(1, [0, 1]), 4);
  assert.equal(go(2, [0, 1]), 4);
  assert.equal(go(4, [0, 1]), 5);
  assert.equal(go(0, [-1, 0]), -1);
  assert.equal(go(5, [0, -1]), 3);
});
