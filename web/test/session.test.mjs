import test from 'node:test';
import assert from 'node:assert/strict';
import { Session } from '../app/session.js';
import { Signal } from '../app/signal.js';
import { FakeClock, FakePeer, answer, begin, playing, settle, socketFactory } from './fakes.mjs';

test('hello, start, answer, path, playing', async () => {
  const it = begin();
  assert.equal(it.peers.length, 1, 'the connection is made before hello');
  it.open.last.hello();
  await settle();
  assert.deepEqual(it.peer.servers, [{ urls: ['turn:host'] }]);
  assert.deepEqual(it.open.last.of('start')[0].data, { game: 'quad', sdp: 'offer' });
  it.open.last.say('candidate', { candidate: 'early' });
  it.open.last.answer('start', 'answer', answer);
  await settle();
  assert.deepEqual(it.peer.answers, ['answer']);
  assert.deepEqual(it.peer.candidates, [{ candidate: 'early' }]);
  it.peer.on.state('connecting');
  it.peer.on.state('connected');
  assert.deepEqual(it.seen.states, ['connecting asking', 'connecting path', 'playing null']);
  const { room, player, seats, title } = it.session.info;
  assert.deepEqual({ room, player, seats, title }, { room: 'r', player: 1, seats: 2, title: 'Quad' });
});

test('a room is joined with the wished seat, through relays when asked', async () => {
  const it = begin({ room: 'abc', player: 2, relay: true });
  it.open.last.hello();
  await settle();
  assert.equal(it.peer.relay, true);
  assert.deepEqual(it.open.last.of('join')[0].data, { room: 'abc', player: 2, sdp: 'offer' });
});

test('own candidates are told; those of an old connection are not', async () => {
  const it = begin();
  const old = it.peer;
  it.open.last.hello();
  await settle();
  old.on.candidate({ candidate: 'a' });
  assert.equal(it.open.last.of('candidate').length, 1);
  it.open.last.drop();
  await it.clock.pass(200);
  it.open.last.hello();
  await settle();
  old.on.candidate({ candidate: 'b' });
  assert.equal(it.open.last.of('candidate').length, 0);
});

test('a socket lost before the answer begins anew, with a new connection', async () => {
  const it = begin();
  it.open.last.hello();
  await settle();
  it.open.last.drop();
  await it.clock.pass(200);
  assert.equal(it.session.state, 'connecting');
  assert.equal(it.peers.length, 2);
  assert.ok(it.peers[0].closed);
  it.open.last.hello();
  await settle();
  assert.equal(it.open.last.of('start').length, 1);
  assert.equal(it.open.last.of('resume').length, 0);
});

for (const [code, join] of [['no-worker', false], ['full', false], ['not-found', true], ['failed', false], ['denied', false]]) {
  test(`a start refused with ${code} ends in an error one can read`, async () => {
    const it = begin(join ? { room: 'abc', relay: false } : undefined);
    it.open.last.hello();
    await settle();
    it.open.last.answer(join ? 'join' : 'start', 'error', { code, message: 'Because.' });
    await settle();
    assert.equal(it.session.state, 'error');
    assert.equal(it.session.error.code, code);
    assert.equal(it.session.error.text, 'Because.');
    assert.ok(it.session.error.title && it.session.error.actions.length > 0);
    assert.ok(it.peer.closed && it.open.last.closed);
    await it.clock.pass(60000);
    assert.equal(it.open.all.length, 1, 'it must not connect again');
    assert.equal(it.clock.pending, 0);
  });
}

test('a lost socket leaves the picture alone', async () => {
  const it = await playing();
  it.open.last.drop();
  assert.equal(it.session.state, 'reconnecting');
  assert.equal(it.session.phase, 'socket');
  await it.clock.pass(200);
  it.open.last.hello();
  it.open.last.answer('resume', 'resumed', { token: 'new' });
  await settle();
  assert.equal(it.session.state, 'playing');
  assert.equal(it.peers.length, 1);
  assert.equal(it.peer.restarts, 0);
  assert.equal(it.peer.closed, false);
});

test('while media flow, a refused resume is only tried again', async () => {
  const it = await playing();
  it.open.last.drop();
  await it.clock.pass(200);
  for (let i = 0; i < 5; i++) {
    if (i === 0) it.open.last.hello();
    it.open.last.answer('resume', 'error', { code: 'not-found', message: 'Unknown.' });
    await it.clock.pass(5000);
  }
  assert.equal(it.session.state, 'reconnecting');
  assert.equal(it.peer.closed, false);
});

test('without media, a refused resume is the end', async () => {
  const it = await playing();
  it.peer.on.state('disconnected');
  it.open.last.drop();
  await it.clock.pass(200);
  it.open.last.hello();
  it.open.last.answer('resume', 'error', { code: 'not-found', message: 'Unknown.' });
  await settle();
  assert.equal(it.session.error.code, 'gone');
});

test('with both lost, the restart waits for the socket', async () => {
  const it = await playing();
  it.open.last.drop();
  it.peer.on.state('failed');
  await it.clock.pass(200);
  assert.equal(it.peer.restarts, 0);
  it.open.last.hello();
  it.open.last.answer('resume', 'resumed', { token: 't' });
  await it.clock.pass(0);
  assert.equal(it.open.last.of('offer').length, 1);
  assert.deepEqual(it.peer.servers, [{ urls: ['turn:host'] }], 'fresh relays are used');
});

test('a worker that is gone ends the session; so does half a minute without media', async () => {
  const one = await playing();
  one.peer.on.state('failed');
  await one.clock.pass(0);
  one.open.last.answer('offer', 'error', { code: 'not-found', message: 'No such session.' });
  await settle();
  assert.equal(one.session.error.code, 'gone');

  const two = await playing();
  two.open.last.drop();
  two.peer.on.state('disconnected');
  await two.clock.pass(40000);
  assert.equal(two.session.error.code, 'lost-path');
});

test('a worker that has lost the browser ends the session with what helps', async () => {
  const one = await playing();
  one.peer.on.state('disconnected');
  one.open.last.say('closed', { reason: 'the connection to the browser was lost', code: 'lost' });
  assert.equal(one.session.error.code, 'lost-path');
  assert.match(one.session.error.text, /none was found again/);
  const two = begin();
  two.open.last.hello();
  await settle();
  two.open.last.answer('start', 'answer', answer);
  await settle();
  two.open.last.say('closed', { reason: 'no path to it was found within 30s', code: 'lost' });
  assert.equal(two.session.error.code, 'no-path');
});

test('an offer nobody answers gives the socket up', async () => {
  const it = await playing();
  it.peer.on.state('failed');
  await it.clock.pass(6200);
  assert.equal(it.open.all.length, 2);
});

test('without AES-GCM the seat is kept and a new connection asks for SHA1, once in a life', async () => {
  const memory = { plain: false, learnt: 0, learn() { this.learnt++; } };
  const it = begin(undefined, memory);
  it.open.last.hello();
  await settle();
  assert.deepEqual(it.open.last.of('start')[0].data, { game: 'quad', sdp: 'offer' });
  it.open.last.answer('start', 'answer', answer);
  await settle();
  const [first] = it.peers;
  first.reached = true;
  first.on.state('failed'); // the browser may notice before it hears why
  it.open.last.say('error', { code: 'srtp', message: 'No AES-GCM.' });
  await settle();
  assert.ok(first.closed);
  assert.equal(it.peers.length, 2);
  assert.deepEqual(it.open.last.of('offer')[0].data, { sdp: 'offer', srtp: 'sha1' });
  assert.deepEqual(it.peer.servers, [{ urls: ['turn:host'] }]);
  it.open.last.answer('offer', 'answer', { ...answer, sdp: 'answer 2' });
  await it.clock.pass(2000);
  assert.deepEqual(it.peer.answers, ['answer 2']);
  assert.equal(memory.learnt, 0, 'not before it has helped');
  it.peer.on.state('connected');
  assert.equal(memory.learnt, 1);
  await it.clock.pass(20000);
  assert.equal(it.session.state, 'playing');
  assert.equal(it.session.info.player, 1);
  assert.deepEqual(it.seen.notices, []);
  it.peer.on.state('failed');
  await it.clock.pass(0);
  assert.deepEqual(it.open.last.of('offer')[1].data, { sdp: 'restart 1' }, 'a restart keeps the keys');
});

test('a browser known to lack AES-GCM says so at once, and is not sent back again', async () => {
  const memory = { plain: true, learn() {} };
  for (const target of [{ game: 'quad', relay: false }, { room: 'abc', player: 2, relay: false }]) {
    const it = begin(target, memory);
    it.open.last.hello();
    await settle();
    const kind = target.game ? 'start' : 'join';
    assert.equal(it.open.last.of(kind)[0].data.srtp, 'sha1');
    it.open.last.answer(kind, 'answer', answer);
    await settle();
    it.open.last.say('error', { code: 'srtp', message: 'No AES-GCM.' });
    await settle();
    assert.equal(it.peers.length, 1);
  }
});

test('when the second connection is refused or fails, that is the end', async () => {
  const refused = begin();
  refused.open.last.hello();
  await settle();
  refused.open.last.answer('start', 'answer', answer);
  await settle();
  refused.open.last.say('error', { code: 'srtp', message: 'No AES-GCM.' });
  await settle();
  refused.open.last.answer('offer', 'error', { code: 'failed', message: 'Too late.' });
  await settle();
  assert.deepEqual([refused.session.state, refused.session.error.text], ['error', 'Too late.']);

  const failed = begin();
  failed.open.last.hello();
  await settle();
  failed.open.last.answer('start', 'answer', answer);
  await settle();
  failed.peer.reached = true; // by ICE, and then DTLS failed
  failed.peer.on.state('failed');
  assert.equal(failed.session.state, 'connecting', 'the worker has a moment to say why');
  await failed.clock.pass(1500);
  assert.equal(failed.session.error.code, 'no-path');
});

test('control messages become knowledge and notes', async () => {
  const it = await playing();
  const { control } = it.peer.on;
  control({ type: 'room', player: 2, seats: 4, players: 3, viewers: 1 });
  assert.deepEqual([it.session.info.player, it.session.info.seats, it.session.info.players, it.session.info.room], [2, 4, 3, 'r']);
  control({ type: 'geometry', width: 240, height: 160, aspect: 1.5, rotation: 0, fps: 59.7275 });
  assert.equal(it.session.geometry.fps, 59.7275);
  control({ type: 'restarted', text: 'Back again.' });
  control({ type: 'error', code: 'full', message: 'That seat is taken.' });
  control({ type: 'message', text: '' });
  control({ type: 'unheard-of' });
  assert.deepEqual(it.seen.notices, [{ kind: 'info', text: 'Back again.' }, { kind: 'error', text: 'That seat is taken.' }]);
  assert.ok(it.session.sendControl({ type: 'seat', player: 1 }));
  assert.deepEqual(it.peer.control, [{ type: 'seat', player: 1 }]);
});

test('saves are known, and who made them is told', async () => {
  const it = await playing();
  const { control } = it.peer.on;
  assert.equal(it.session.info.saved, 0);
  control({ type: 'room', player: 1, seats: 2, you: 'm1', host: true, members: [{ id: 'm1', name: 'Bo' }], saved: 7 });
  assert.equal(it.session.info.saved, 7);
  control({ type: 'saved', at: 1700000000000, by: 'Bo', member: 'm1' });
  assert.equal(it.session.info.saved, 1700000000000);
  control({ type: 'loaded', by: 'Ann', member: 'm2' });
  assert.equal(it.session.info.saved, 1700000000000, 'a load leaves the save');
  control({ type: 'loaded', by: 'Bo', member: 'm1' });
  control({ type: 'saved', at: 1700000001000, by: 'Ann', member: 'm2' });
  assert.deepEqual(it.seen.notices.map(({ text }) => text), ['Saved.', 'Ann loaded the game.', 'Loaded.', 'Ann saved the game.']);
});

test('closed ends with the reason; so does a control channel that ends', async () => {
  const one = await playing();
  one.open.last.say('closed', { reason: 'The worker shuts down.' });
  assert.deepEqual([one.session.state, one.session.error.text], ['error', 'The worker shuts down.']);

  const two = await playing();
  two.peer.on.controlClosed();
  await two.clock.pass(1000);
  assert.equal(two.session.state, 'playing', 'the reason has a moment to arrive');
  await two.clock.pass(600);
  assert.equal(two.session.error.code, 'closed');
});

test('leaving tells the server and ends everything', async () => {
  const it = await playing();
  const socket = it.open.last;
  it.session.leave();
  it.session.leave();
  it.session.nudge();
  assert.equal(socket.of('leave').length, 1);
  assert.equal(it.session.state, 'ended');
  assert.ok(it.peer.closed);
  it.peer.on.state('failed');
  await it.clock.pass(60000);
  assert.equal(it.session.state, 'ended');
  assert.equal(it.clock.pending, 0);
  assert.equal(it.open.all.length, 1);
});

test('a network change reconnects without waiting', async () => {
  const it = await playing();
  it.session.nudge();
  assert.equal(it.open.all.length, 2);
  it.open.last.hello();
  it.open.last.answer('resume', 'resumed', { token: 't' });
  await settle();
  assert.equal(it.session.state, 'playing');
});

test('a browser that cannot is told so', () => {
  const it = begin();
  it.session.abandon(new Error('RTCPeerConnection is not defined'));
  assert.equal(it.session.error.code, 'browser');
  assert.match(it.session.error.text, /not defined/);
});

async function waiting() {
  const it = begin();
  it.seen.queue = [];
  it.session.addEventListener('queue', ({ detail }) => it.seen.queue.push(detail?.position ?? null));
  it.open.last.hello();
  await settle();
  it.open.last.answer('start', 'queued', { position: 3, waiting: 12, token: 'place' });
  await settle();
  return it;
}

test('in line: the connection is dropped, the place is shown, and the game starts by itself', async () => {
  const it = await waiting();
  assert.deepEqual([it.session.state, it.session.queue], ['queued', { position: 3, waiting: 12 }]);
  assert.ok(it.peers[0].closed && it.session.peer === null);
  it.open.last.say('queued', { position: 1, waiting: 12 });
  assert.deepEqual(it.seen.queue, [3, 1]);
  it.open.last.say('granted', { ticket: 'ticket', seconds: 15, iceServers: [{ urls: ['turn:new'] }] });
  await settle();
  assert.equal(it.session.state, 'connecting');
  assert.equal(it.peers.length, 2);
  assert.deepEqual(it.peer.servers, [{ urls: ['turn:new'] }]);
  assert.deepEqual(it.open.last.of('start')[1].data, { game: 'quad', sdp: 'offer', ticket: 'ticket' });
  it.open.last.say('granted', { ticket: 'again' });
  it.open.last.answer('start', 'answer', answer);
  await settle();
  it.peer.on.state('connected');
  assert.equal(it.session.state, 'playing');
  assert.equal(it.session.queue, null);
  assert.deepEqual(it.seen.queue, [3, 1, null]);
  await it.clock.pass(60000);
  assert.equal(it.open.last.of('servers').length, 0, 'nobody looks after a line one does not stand in');
});

test('the place in line outlives the socket, and the server that falls silent', async () => {
  const it = await waiting();
  it.open.last.drop();
  assert.equal(it.session.state, 'queued');
  await it.clock.pass(200);
  it.open.last.hello('other');
  assert.deepEqual(it.open.last.of('resume')[0].data, { token: 'place' });
  it.open.last.answer('resume', 'resumed', { token: 'place 2' });
  await settle();
  assert.deepEqual(it.open.last.of('start')[0].data, { game: 'quad' }, 'a place alone is asked for');
  it.open.last.answer('start', 'queued', { position: 2, waiting: 9 });
  await settle();
  assert.deepEqual(it.session.queue, { position: 2, waiting: 9 });
  await it.clock.pass(10000);
  assert.equal(it.open.last.of('servers').length, 1);
  await it.clock.pass(4100);
  assert.equal(it.open.all.length, 3, 'it does not answer');
  it.open.last.hello();
  it.open.last.answer('resume', 'error', { code: 'denied', message: 'Unknown.' });
  await settle();
  assert.equal(it.open.last.of('start').length, 1, 'who is not known stands in line anew');
  it.open.last.answer('start', 'granted', { ticket: 'mine' });
  await settle();
  assert.equal(it.open.last.of('start')[1].data.ticket, 'mine');
});

test('a turn that has passed is told; one that a lost server held is asked for again', async () => {
  const it = await waiting();
  it.open.last.say('granted', { ticket: 'ticket' });
  await settle();
  it.open.last.answer('start', 'error', { code: 'expired', message: '' });
  await settle();
  assert.equal(it.session.error.title, 'Your turn has passed');

  const torn = await waiting();
  torn.open.last.say('granted', { ticket: 'ticket' });
  await settle();
  torn.open.last.drop();
  await torn.clock.pass(200);
  torn.open.last.hello();
  torn.open.last.answer('resume', 'resumed', {});
  await settle();
  assert.equal(torn.open.last.of('start')[0].data.ticket, 'ticket');
  torn.open.last.answer('start', 'error', { code: 'expired', message: '' });
  await settle();
  assert.equal(torn.session.state, 'connecting');
  assert.equal(torn.open.last.of('start')[1].data.ticket, undefined);
});

test('an error ends the waiting, leaving does, too', async () => {
  const it = await waiting();
  it.open.last.say('error', { code: 'not-found', message: 'The game is gone.' });
  assert.deepEqual([it.session.state, it.session.error.code], ['error', 'not-found']);
  const left = await waiting();
  const socket = left.open.last;
  left.session.leave();
  assert.equal(socket.of('leave').length, 1);
  await left.clock.pass(60000);
  assert.equal(left.clock.pending, 0);
});

test('a page that was loaded anew takes its place in line up again', async () => {
  const it = begin({ game: 'quad', relay: false, token: 'place' });
  it.open.last.hello();
  assert.deepEqual(it.open.last.of('resume')[0].data, { token: 'place' });
  it.open.last.answer('resume', 'resumed', { token: 'place 2' });
  await settle();
  assert.deepEqual(it.open.last.of('start')[0].data, { game: 'quad', sdp: 'offer' });
  const old = begin({ game: 'quad', relay: false, token: 'too old' });
  old.open.last.hello();
  old.open.last.answer('resume', 'error', { code: 'denied', message: 'Expired.' });
  await settle();
  assert.equal(old.open.last.of('start').length, 1);
});

test('a page that was loaded anew joins by its token, or else as anybody', async () => {
  const it = begin({ room: 'abc', player: 2, relay: false, token: 'mine' });
  it.open.last.hello();
  await settle();
  assert.deepEqual(it.open.last.of('join')[0].data, { room: 'abc', sdp: 'offer', token: 'mine' });
  it.open.last.answer('join', 'error', { code: 'denied', message: 'The token has expired.' });
  await settle();
  assert.deepEqual(it.open.last.of('join')[1].data, { room: 'abc', player: 2, sdp: 'offer' });
  const invited = begin({ room: 'abc', player: 0, relay: false, invite: 'i1.x' });
  invited.open.last.hello();
  await settle();
  assert.deepEqual(invited.open.last.of('join')[0].data, { room: 'abc', player: 0, sdp: 'offer', invite: 'i1.x' });
  invited.open.last.answer('join', 'error', { code: 'expired', message: 'The invitation has expired.' });
  await settle();
  assert.equal(invited.session.error.title, 'This invitation has expired');
  // A token of before that is worth nothing is no reason to turn an invitation down.
  const both = begin({ room: 'abc', player: 0, relay: false, invite: 'i1.x', token: 'old' });
  both.open.last.hello();
  await settle();
  both.open.last.answer('join', 'error', { code: 'denied', message: 'the session token is of somebody else' });
  await settle();
  assert.deepEqual(both.open.last.of('join')[1].data, { room: 'abc', player: 0, sdp: 'offer', invite: 'i1.x' });
  both.open.last.answer('join', 'error', { code: 'denied', message: 'the invitation is not one of ours' });
  await settle();
  assert.equal(both.session.error.title, 'This invitation is not valid');
});

test('a session that goes on in another window is left to it', async () => {
  const it = await playing();
  it.open.last.drop(4001);
  assert.equal(it.session.error.code, 'elsewhere');
  assert.ok(it.peer.closed);
  await it.clock.pass(60000);
  assert.equal(it.open.all.length, 1);
  const removed = await playing();
  removed.open.last.say('closed', { reason: 'The host has removed you.', code: 'removed' });
  assert.equal(removed.session.error.code, 'removed');
  const alone = await playing();
  alone.open.last.drop(1006); // the worker says it by itself
  alone.peer.on.control({ type: 'error', code: 'removed', message: 'the host has removed you' });
  assert.equal(alone.session.error.code, 'removed');
});

test('other addresses of the site are used, but none that the page may not', async () => {
  const it = begin();
  it.open.last.hello('t', { alternates: ['http://b', 'https://c', 'x', 'http://b'] });
  assert.deepEqual(it.session.signal.addresses, ['ws://x/ws', 'ws://b/ws']);
});

test('credentials of relays are fresh when the path is repaired', async () => {
  const it = await playing();
  await it.clock.pass(40000);
  it.peer.on.state('failed');
  await it.clock.pass(0);
  it.open.last.answer('servers', 'servers', { iceServers: [{ urls: ['turn:fresh'] }] });
  await it.clock.pass(0);
  assert.deepEqual(it.peer.servers, [{ urls: ['turn:fresh'] }]);
  assert.equal(it.open.last.of('offer').length, 1);
  const old = await playing();
  await old.clock.pass(40000);
  old.peer.on.state('failed');
  await old.clock.pass(0);
  old.open.last.answer('servers', 'error', { code: 'bad-request', message: 'A page does not send that.' });
  await old.clock.pass(0);
  assert.equal(old.open.last.of('offer').length, 1, 'a server that has none to give');
});

test('where to start is sent with the start', async () => {
  const clock = new FakeClock();
  const open = socketFactory();
  const session = new Session({
    target: { game: 'quad', relay: false }, url: 'ws://x/ws', clock, makePeer: (o) => new FakePeer(o),
    makeSignal: (o) => new Signal({ ...o, open, knock: async () => null }), wish: async () => ({ zone: 'eu', latencies: { eu: 7 } }),
  });
  session.start();
  open.last.hello();
  await settle();
  assert.deepEqual(open.last.of('start')[0].data, { game: 'quad', sdp: 'offer', zone: 'eu', latencies: { eu: 7 } });
});

test('the people in the room, and what the host asks for', async () => {
  const it = await playing();
  const seen = [];
  it.session.addEventListener('company', ({ detail }) => seen.push(detail.members.length));
  const { control } = it.peer.on;
  control({ type: 'room', player: 1, seats: 2, you: 'm1', host: true, members: [{ id: 'm1', host: true }] });
  control({ type: 'room', player: 1, seats: 2, you: 'm1', host: false, members: [{ id: 'm1' }, { id: 'm2', host: true }] });
  assert.deepEqual(seen, [1, 2]);
  assert.equal(it.session.company.host, false);
  assert.match(it.seen.notices[0].text, /Somebody else is the host/);
  const asked = it.session.ask({ type: 'invite', player: 2 });
  control({ type: 'invited', ref: it.peer.control[0].ref, id: 'i', token: 't', expires: 9 });
  assert.equal((await asked).token, 't');
  const refused = assert.rejects(it.session.ask({ type: 'invite' }), /only the host/);
  control({ type: 'error', ref: it.peer.control[1].ref, code: 'not-host', message: 'only the host may do that' });
  await refused;
  assert.equal(it.seen.notices.length, 1, 'who asked says it');
});
