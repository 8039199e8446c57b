import test from 'node:test';
import assert from 'node:assert/strict';
import { answer, begin, playing, settle } from './fakes.mjs';

test('a path that comes back by itself needs no restart', async () => {
  const it = await playing();
  it.peer.on.state('disconnected');
  assert.equal(it.session.state, 'reconnecting');
  assert.equal(it.session.phase, 'path');
  await it.clock.pass(900);
  it.peer.on.state('connected');
  await it.clock.pass(20000);
  assert.equal(it.peer.restarts, 0);
  assert.equal(it.session.state, 'playing');
});

test('a lost path is restarted by an offer, and again until it works', async () => {
  const it = await playing();
  it.peer.on.state('disconnected');
  await it.clock.pass(1000);
  assert.deepEqual(it.open.last.of('offer')[0].data, { sdp: 'restart 1' });
  it.open.last.answer('offer', 'answer', { sdp: 'answer 2' });
  await settle();
  assert.deepEqual(it.peer.answers, ['answer', 'answer 2']);
  assert.equal(it.open.last.of('servers').length, 0, 'what the hello has brought is used once');
  await it.clock.pass(6000);
  await attempt(it, 'answer 3');
  assert.equal(it.peer.restarts, 2);
  assert.deepEqual(it.peer.servers, [{ urls: ['turn:newer'] }], 'a gate bounds the relays of one credential');
  it.peer.on.state('connected');
  await it.clock.pass(60000);
  assert.equal(it.session.state, 'playing');
  assert.equal(it.peer.restarts, 2);
});

test('a failed path is restarted at once', async () => {
  const it = await playing();
  it.peer.on.state('failed');
  await it.clock.pass(0);
  assert.equal(it.open.last.of('offer').length, 1);
});

/** A session whose worker has answered, and no path is there yet. */
async function answered(target) {
  const it = begin(target);
  it.open.last.hello();
  await settle();
  it.open.last.answer('start', 'answer', answer);
  await settle();
  return it;
}

/** Answers an attempt: what it asks for first, then its offer. */
async function attempt(it, sdp) {
  await it.clock.pass(0);
  it.open.last.answer('servers', 'servers', { iceServers: [{ urls: ['turn:newer'] }] });
  await it.clock.pass(0);
  it.open.last.answer('offer', 'answer', { sdp });
  await settle();
}

test('no first path: it is looked for again and again; then say so, and offer a relay unless there is one', async () => {
  for (const relay of [false, true]) {
    const it = await answered({ game: 'quad', relay });
    for (const [i, wait] of [4500, 6000, 6000, 6000].entries()) {
      await it.clock.pass(wait - 1);
      assert.equal(it.open.last.of('offer').length, i, 'a path has its time');
      await it.clock.pass(1);
      await attempt(it, `answer ${i}`);
    }
    assert.deepEqual(it.peer.answers, ['answer', 'answer 0', 'answer 1', 'answer 2', 'answer 3']);
    assert.deepEqual([it.session.state, it.session.phase], ['connecting', 'path']);
    await it.clock.pass(2500);
    assert.equal(it.session.error.code, 'no-path');
    assert.equal(it.session.error.actions[0], relay ? 'direct' : 'relay');
    assert.deepEqual(it.seen.slow, ['path']);
    assert.equal(it.open.all.length, 1);
    assert.equal(it.clock.pending, 0);
  }
});

test('a first path that fails is tried anew at once, by fresh relays and ever less often', async () => {
  const it = await answered();
  const at = [];
  for (let i = 0; i < 6; i++) {
    it.peer.on.state('failed');
    await it.clock.pass(0);
    while (it.open.last.of('servers').length === i) await it.clock.pass(100);
    at.push(it.clock.now());
    await attempt(it, `answer ${i}`);
  }
  assert.deepEqual(at.map((t) => t - at[0]), [0, 500, 1500, 3000, 5000, 7500]);
  assert.equal(it.session.state, 'connecting');
  assert.deepEqual(it.peer.servers, [{ urls: ['turn:newer'] }]);
  it.peer.on.state('connected');
  await it.clock.pass(60000);
  assert.equal(it.session.state, 'playing');
  assert.equal(it.peer.restarts, 6);
  assert.equal(it.peers.length, 1);
});

test('a first path that is found and not ready yet is left alone, but not for ever', async () => {
  const it = await answered();
  it.peer.reached = true;
  await it.clock.pass(24900);
  assert.equal(it.peer.restarts, 0);
  assert.equal(it.session.state, 'connecting');
  await it.clock.pass(100);
  assert.equal(it.session.error.code, 'no-path');
});

test('candidates that were lost with the socket are sent anew', async () => {
  const it = await answered();
  it.open.last.drop();
  await it.clock.pass(200);
  it.open.last.hello();
  it.open.last.answer('resume', 'resumed', { token: 't' });
  await attempt(it, 'answer 2');
  assert.deepEqual(it.peer.answers, ['answer', 'answer 2']);
});

test('a worker that has given the seat away is believed', async () => {
  const it = await answered();
  it.peer.on.state('failed');
  await it.clock.pass(0);
  it.open.last.answer('servers', 'error', { code: 'bad-request', message: 'A page does not send that.' });
  await it.clock.pass(0);
  it.open.last.answer('offer', 'error', { code: 'not-found', message: 'No such session.' });
  await settle();
  assert.equal(it.session.error.code, 'gone');
});

test('the answer to an offer that was overtaken is dropped; one for a path that came back is not', async () => {
  const it = await playing();
  it.peer.on.state('failed');
  await it.clock.pass(0);
  it.peer.on.state('failed');
  await it.clock.pass(500);
  it.open.last.answer('servers', 'servers', {});
  await settle();
  const [first, second] = it.open.last.of('offer');
  it.open.last.say('answer', { sdp: 'to the first' }, first.id);
  await settle();
  assert.deepEqual(it.peer.answers, ['answer']);
  it.peer.on.state('connected');
  it.open.last.say('answer', { sdp: 'to the second' }, second.id);
  await settle();
  assert.deepEqual(it.peer.answers, ['answer', 'to the second']);
});

test('a way that stalls again and again is not begun anew each time', async () => {
  const it = await playing();
  it.peer.on.state('failed');
  await it.clock.pass(0);
  it.open.last.answer('offer', 'answer', { sdp: 'answer 2' });
  it.peer.on.state('connected');
  for (let i = 0; i < 5; i++) {
    it.peer.on.state('failed');
    await it.clock.pass(500);
    it.peer.on.state('connected');
    await it.clock.pass(50);
  }
  assert.equal(it.peer.restarts, 1);
  it.peer.on.state('failed');
  await it.clock.pass(3000 - 5 * 550);
  await attempt(it, 'answer 3');
  assert.equal(it.peer.restarts, 2);
});

const pings = (it) => it.peer.control.filter((m) => m.type === 'ping').length;

/** A game that has played for a while. */
async function flowing() {
  const it = await playing();
  await it.clock.pass(1000);
  assert.equal(pings(it), 0, 'media are sign enough');
  return it;
}

test('silence: a path on which nothing comes is repaired long before the browser says so', async () => {
  const it = await flowing();
  it.peer.silent = true;
  await it.clock.pass(800);
  assert.ok(pings(it) > 0);
  assert.equal(it.session.state, 'playing');
  await it.clock.pass(200);
  assert.deepEqual([it.session.state, it.session.phase], ['reconnecting', 'path']);
  assert.equal(it.session.media, false);
  assert.equal(it.open.last.of('offer').length, 1);
  it.open.last.answer('offer', 'answer', { sdp: 'answer 2' });
  await settle();
  it.peer.on.state('disconnected'); // only now
  await it.clock.pass(3000);
  assert.equal(it.peer.restarts, 1, 'the attempt has its time');
  it.peer.silent = false;
  await it.clock.pass(200);
  assert.equal(it.session.state, 'playing', 'browsers need not say a word');
  await it.clock.pass(60000);
  assert.equal(it.peer.restarts, 1);
  it.peer.silent = true;
  await it.clock.pass(1000);
  await attempt(it, 'answer 3');
  assert.equal(it.peer.restarts, 2);
  it.peer.on.state('connected');
  assert.equal(it.session.state, 'playing');
  await it.clock.pass(1000);
  assert.equal(it.session.state, 'reconnecting', 'a path that stands and carries nothing');
});

test('silence: a worker that answers has nothing to show, and the path stands', async () => {
  const it = await flowing();
  it.peer.silent = true;
  for (let i = 0; i < 50; i++) {
    const before = pings(it);
    await it.clock.pass(200);
    if (pings(it) > before) it.peer.on.control({ type: 'pong', t: it.clock.now() });
  }
  assert.equal(it.session.state, 'playing');
  assert.equal(it.peer.restarts, 0);
  it.session.leave();
  assert.equal(it.clock.pending, 0);
});

test('silence: who looks too seldom knows nothing, and who has heard nothing yet neither', async () => {
  const it = await flowing();
  it.peer.silent = true;
  it.clock.slow = 1000; // the timers of a hidden tab
  await it.clock.pass(20000);
  assert.equal(it.session.state, 'playing');
  it.clock.slow = 0;
  await it.clock.pass(1400);
  assert.equal(it.session.state, 'reconnecting');

  const young = begin();
  young.open.last.hello();
  await settle();
  young.peer.silent = true;
  young.open.last.answer('start', 'answer', answer);
  await settle();
  young.peer.on.state('connected');
  await young.clock.pass(10000);
  assert.equal(young.session.state, 'playing');
});

test('silence: a browser that never tells of media is believed, whatever the worker says', async () => {
  const it = begin();
  it.open.last.hello();
  await settle();
  it.peer.silent = true;
  it.open.last.answer('start', 'answer', answer);
  await settle();
  it.peer.on.state('connected');
  it.peer.on.control({ type: 'geometry', width: 1, height: 1 });
  await it.clock.pass(10000);
  assert.equal(it.session.state, 'playing');
  assert.equal(pings(it), 0);
});
