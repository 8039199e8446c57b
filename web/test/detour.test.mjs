import test from 'node:test';
import assert from 'node:assert/strict';
import { datagrams } from '../app/detour.js';
import { Peer } from '../app/peer.js';
import { answer, begin, settle } from './fakes.mjs';

const iceServers = [{ urls: ['turn:a?transport=udp', 'turn:a?transport=tcp', 'turns:a?transport=tcp'], username: 'u' }, { urls: 'turns:b' }];
const quick = [{ urls: ['turn:a?transport=udp'], username: 'u' }];

test('datagrams: the servers that are reached over UDP', () => {
  for (const [urls, want] of [
    ['turn:a', ['turn:a']],
    ['stun:a', ['stun:a']],
    ['turn:a?transport=UDP', ['turn:a?transport=UDP']],
    [['turn:a?transport=TCP', 'turns:a', 'TURNS:a'], []],
    [iceServers[0].urls, quick[0].urls],
  ]) assert.deepEqual(datagrams([{ urls, username: 'u' }]), want.length ? [{ urls: want, username: 'u' }] : []);
});

/** A game that begins over TCP, and what is known of UDP. */
async function started({ open = true, knows = false } = {}) {
  const it = begin();
  Object.assign(it.peer, { over: 'tcp', open, knows });
  it.open.last.hello('first', { iceServers });
  await settle();
  it.open.last.answer('start', 'answer', answer);
  await settle();
  it.peer.on.state('connected');
  return it;
}

test('a game that begins over TCP moves to UDP, and is not disturbed', async () => {
  const it = await started();
  await it.clock.pass(200);
  assert.deepEqual(it.peer.asked, [quick]);
  assert.deepEqual(it.peer.servers, quick, 'nothing but UDP is looked for');
  assert.deepEqual(it.open.last.of('offer').map((m) => m.data), [{ sdp: 'restart 1' }]);
  it.open.last.answer('offer', 'answer', { sdp: 'answer 2' });
  it.peer.over = 'udp';
  it.peer.on.state('connected');
  await it.clock.pass(300000);
  assert.deepEqual(it.peer.answers, ['answer', 'answer 2']);
  assert.equal(it.peer.restarts, 1);
  assert.deepEqual(it.seen.states, ['connecting asking', 'connecting path', 'playing null']);
});

test('where UDP leads nowhere a game stays as it is', async () => {
  const it = await started({ open: false });
  await it.clock.pass(300000);
  assert.equal(it.peer.asked.length, 1);
  assert.equal(it.peer.restarts, 0);
  assert.deepEqual(it.peer.servers, iceServers);
});

test('a browser that has a relay over UDP takes it by itself', async () => {
  const it = await started({ knows: true });
  await it.clock.pass(300000);
  assert.deepEqual(it.peer.asked, []);
});

test('who left has nothing moved', async () => {
  const it = await started();
  it.session.leave();
  await it.clock.pass(1000);
  assert.equal(it.peer.restarts, 0);
  assert.equal(it.clock.pending, 0);
});

test('while no server hears of it nothing is moved', async () => {
  const it = await started();
  it.open.last.drop();
  await it.clock.pass(150);
  assert.deepEqual(it.peer.asked, [quick]);
  assert.equal(it.peer.restarts, 0);
  assert.deepEqual(it.peer.servers, iceServers);
});

test('a connection that tells nothing of its path is left alone', async () => {
  const it = await started();
  await it.clock.pass(200);
  it.open.last.answer('offer', 'answer', { sdp: 'answer 2' });
  await settle();
  it.peer.detour = async () => { throw new Error('closed'); }; // not handled, it would fail the test
  await it.clock.pass(3000);
  assert.equal(it.peer.restarts, 1);
});

test('UDP that answers and carries nothing is left again, and tried ever more rarely', async () => {
  const it = await started();
  await it.clock.pass(200);
  it.open.last.answer('offer', 'answer', { sdp: 'answer 2' });
  await it.clock.pass(2000);
  assert.deepEqual(it.peer.servers, iceServers, 'all ways again');
  it.open.last.answer('offer', 'answer', { sdp: 'answer 3' });
  await settle();
  const at = [];
  for (let i = 0; i < 600; i++) { // its path is lost and found, again and again
    const before = it.peer.asked.length;
    it.peer.on.state('connected');
    await it.clock.pass(1000);
    if (it.peer.asked.length > before) at.push(Math.round(it.clock.now() / 1000));
    if (it.open.last.of('offer').length > it.peer.answers.length - 1) it.open.last.answer('offer', 'answer', { sdp: 'more' });
  }
  assert.equal(at.length, 3);
  assert.ok(at[1] - at[0] >= 120 && at[2] - at[1] >= 240, `${at}`);
});

test('a path that is lost meanwhile is repaired over all servers', async () => {
  const it = await started();
  await it.clock.pass(200);
  it.peer.on.state('failed');
  await it.clock.pass(0);
  it.open.last.answer('servers', 'servers', { iceServers });
  await it.clock.pass(0);
  assert.deepEqual(it.peer.servers, iceServers);
  const [first, second] = it.open.last.of('offer');
  it.open.last.say('answer', { sdp: 'to the first' }, first.id);
  it.open.last.say('answer', { sdp: 'to the second' }, second.id);
  await settle();
  assert.deepEqual(it.peer.answers, ['answer', 'to the second']);
});

/** What Peer needs of an RTCPeerConnection; `local` is the selected candidate. */
class FakeConnection extends EventTarget {
  iceGatheringState = 'complete';
  local = { relayProtocol: 'tcp' };

  constructor(config) {
    super();
    this.config = config;
  }

  addTransceiver() { return { receiver: {} }; }
  createDataChannel() { return {}; }
  setConfiguration(config) { this.config = config; }
  async createOffer() {
    if (this.config.iceServers[0]?.urls === 'bad') throw new Error('no');
    return { sdp: '' };
  }
  async setLocalDescription() { this.gathers = true; }
  close() { this.closed = true; }

  async getStats() {
    return new Map([['t', { type: 'transport', selectedCandidatePairId: 'p' }], ['p', { localCandidateId: 'l' }], ['l', this.local]]);
  }
}

/** A Peer, and the connections that it makes. */
function peer() {
  const made = [];
  const make = (config) => { made.push(new FakeConnection(config)); return made.at(-1); };
  return { peer: new Peer({ on: { candidate() {} }, make }), made };
}

test('peer: a relay over TCP or TLS is a detour, unless one over UDP is known', async () => {
  const { peer: p, made: [pc] } = peer();
  for (const [relayProtocol, want] of [['tcp', true], ['tls', true], ['udp', false], [undefined, false]]) {
    pc.local = { relayProtocol };
    assert.equal(await p.detour(), want, relayProtocol);
  }
  pc.local = { relayProtocol: 'tcp' };
  const candidate = { candidate: 'x', relayProtocol: 'udp', toJSON() { return {}; } };
  pc.onicecandidate({ candidate });
  assert.deepEqual([await p.detour(), await p.detour(true)], [false, true]);
  await p.restart();
  assert.equal(await p.detour(), true, 'that was another way');
});

test('peer: what is still gathered is waited for', async () => {
  const { peer: p, made: [pc] } = peer();
  pc.iceGatheringState = 'gathering';
  let said = false;
  const detour = p.detour().finally(() => { said = true; });
  await settle();
  assert.equal(said, false);
  pc.iceGatheringState = 'complete';
  pc.dispatchEvent(new Event('icegatheringstatechange'));
  assert.equal(await detour, true);
});

test('peer: another connection asks whether relays answer', async () => {
  for (const [events, want] of [
    [[{ candidate: { candidate: 'a relay' } }], true],
    [[{ candidate: { candidate: '' } }, { candidate: null }], false],
  ]) {
    const { peer: p, made } = peer();
    const reached = p.reaches(quick);
    await settle();
    assert.deepEqual(made[1].config, { iceServers: quick, iceTransportPolicy: 'relay' });
    assert.ok(made[1].gathers && !made[1].closed);
    for (const event of events) made[1].onicecandidate(event);
    assert.equal(await reached, want);
    assert.ok(made[1].closed && !made[0].closed);
  }
  const { peer: p, made } = peer();
  assert.equal(await p.reaches([{ urls: 'bad' }]), false);
  assert.ok(made[1].closed);
});
