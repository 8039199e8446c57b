import test from 'node:test';
import assert from 'node:assert/strict';
import { Questions, alone, changes, company, nameOf } from '../app/company.js';
import { describe, until } from '../app/together.js';
import { explain } from '../app/reasons.js';
import { FakeClock } from './fakes.mjs';

const room = (more = {}) => ({
  type: 'room', you: 'm2', host: true, closed: false,
  members: [{ id: 'm1', name: 'Ann', player: 1, host: false }, { id: 'm2', name: 'Bob', player: 2, host: true }],
  invitations: [{ id: 'i', player: 2, single: true, expires: 5 }], ...more,
});

test('what a room says of its people', () => {
  const known = company(alone, room());
  assert.deepEqual(known.members[0], { id: 'm1', name: 'Ann', player: 1, host: false, muted: false, away: false });
  assert.deepEqual(known.invitations[0], { id: 'i', player: 2, watch: false, single: true, used: false, expires: 5 });
  assert.equal(company(known, { type: 'room', player: 1 }), known, 'a message without people says nothing of them');
  const guest = company(known, room({ host: undefined }));
  assert.deepEqual([guest.host, guest.invitations.length], [false, 0]);
  const odd = company(alone, { members: [null, 7, {}, { id: 'x', name: 'y'.repeat(99), player: '2' }], host: 1, invitations: 'x' });
  assert.deepEqual(odd.members.map((m) => [m.name.length, m.player]), [[64, 2]]);
  assert.equal(company(alone, { members: Array.from({ length: 999 }, (_, i) => ({ id: `m${i}` })) }).members.length, 200);
});

test('changes in words', () => {
  const before = company(alone, room({ host: false }));
  assert.deepEqual(changes(alone, before), [], 'who comes in needs no words');
  assert.match(changes(before, company(before, room()))[0], /You are the host/);
  assert.match(changes(company(alone, room()), before)[0], /Somebody else/);
  const muted = company(before, room({ host: false, members: [{ id: 'm2', muted: true }] }));
  assert.match(changes(before, muted)[0], /muted/);
  assert.match(changes(muted, before)[0], /count again/);
  const shut = company(before, room({ host: false, closed: true }));
  assert.match(changes(before, shut)[0], /by invitation only/);
  assert.match(changes(shut, before)[0], /is open/);
  assert.deepEqual(changes(before, before), []);
  assert.deepEqual([{ name: 'Ann' }, { name: '', player: 2 }, { name: '', player: 0 }].map(nameOf), ['Ann', 'Player 2', 'A guest']);
});

test('questions are answered by their ref', async () => {
  const clock = new FakeClock();
  const sent = [];
  const questions = new Questions(clock, (m) => sent.push(m) > 0);
  const one = questions.ask({ type: 'invite', player: 1 });
  const two = questions.ask({ type: 'invite', player: 2 });
  assert.deepEqual(sent.map((m) => m.ref), ['q1', 'q2']);
  assert.equal(questions.answer({ type: 'error', code: 'full', message: 'Seat taken.' }), false, 'of two it is not known which');
  assert.ok(questions.answer({ type: 'invited', ref: 'q2', id: 'b', token: 't' }));
  assert.equal((await two).id, 'b');
  assert.ok(questions.answer({ type: 'error', code: 'not-host', message: 'No.', ref: 'q1' }));
  await assert.rejects(one, /No\./);
  assert.equal(questions.answer({ type: 'invited', ref: 'q9' }), false);
  const late = assert.rejects(questions.ask({ type: 'invite' }), /did not answer/);
  await clock.pass(6000);
  await late;
  await assert.rejects(new Questions(clock, () => false).ask({}), /no connection/);
  assert.equal(clock.pending, 0);
});

test('invitations in words', () => {
  assert.deepEqual([{}, { player: 2 }, { watch: true, single: true }].map(describe), ['Play, any free seat', 'Player 2', 'Watch, one person']);
  assert.match(until(3600, 0), /^until \d/);
  assert.match(until(7 * 86400, 0), /1970/);
});

test('doors that do not open explain themselves, and what helps', () => {
  for (const code of ['expired', 'revoked', 'used', 'invite']) {
    const reason = explain(code, '', { join: true });
    assert.match(reason.help, /[Aa]sk the host/, code);
    assert.equal(reason.actions[0], 'menu');
  }
  assert.match(explain('removed', '', { join: true }).title, /removed/);
  assert.match(explain('elsewhere').title, /another window/);
  const turn = explain('expired', '', { turn: true });
  assert.equal(turn.title, 'Your turn has passed');
  assert.equal(turn.actions[0], 'again');
  assert.equal(explain('sign-in').actions[0], 'reload');
});
