import test from 'node:test';
import assert from 'node:assert/strict';
import { fit } from '../app/stage.js';
import { bitrate, pathName, pick, rows, summarise } from '../app/stats.js';
import { Settings, sane, srtpMemory } from '../app/settings.js';
import { originOf, parse, playPath, roomPath, seat, shareLink, socketOf, socketURL } from '../app/route.js';
import { explain, sentence } from '../app/reasons.js';
import { group, systemOf, validGames } from '../app/systems.js';
import { paletteOf, randomOf, seedOf } from '../app/cover.js';
import { pathOf, pixels, plain, textWidth, wrap } from '../app/pixelfont.js';
import { Peer, noDelay, stereo } from '../app/peer.js';
import { seatName } from '../app/bar.js';
import { Button } from '../app/wire.js';

test('addresses', () => {
  const at = (path) => { const url = new URL(path, 'http://h'); return parse(url); };
  assert.deepEqual(at('/'), { view: 'menu' });
  assert.deepEqual(at('/play/anguna'), { view: 'play', game: 'anguna', relay: false });
  assert.deepEqual(at('/play/test-card?relay=1'), { view: 'play', game: 'test-card', relay: true });
  const room = 'abcdefghijklmnopqrstuvw234';
  assert.deepEqual(at(`/room/${room}?player=2`), { view: 'room', room, player: 2, relay: false, invite: '' });
  assert.equal(at(`/room/${room}#invite=i1.a-b_c.p1.9`).invite, 'i1.a-b_c.p1.9');
  for (const bad of ['#invite=', '#invite=a b', '#else=x', `#invite=${'a'.repeat(1025)}`, '#invite=<b>']) assert.equal(at(`/room/${room}${bad}`).invite, '', bad);
  for (const bad of ['/play/', '/play/A', '/play/a/b', '/play/-a', '/play/a%2f', `/play/${'a'.repeat(65)}`, '/room/..%2f..%2fx', '/room/', '/else', '/room/a/b', '/room/abc', `/room/${room}a`, '/play']) {
    assert.deepEqual(at(bad), { view: 'unknown' }, bad);
  }
});

test('seats out of a query', () => {
  for (const [text, want] of [['1', 1], ['8', 8], ['9', 0], ['99', 0], ['0', 0], ['-1', 0], ['1.5', 0], ['x', 0], ['', 0], [null, 0]]) {
    assert.equal(seat(text), want, String(text));
  }
});

test('links', () => {
  assert.equal(playPath('a', true), '/play/a?relay=1');
  assert.equal(roomPath('a'), '/room/a');
  assert.equal(shareLink('https://h', 'a'), 'https://h/room/a');
  assert.equal(shareLink('https://h', 'a', 't.o'), 'https://h/room/a#invite=t.o');
  assert.equal(socketOf('https://b.example.org'), 'wss://b.example.org/ws');
  assert.equal(originOf('wss://b.example.org:1/ws'), 'https://b.example.org:1');
  for (const bad of ['', 'b.example.org', 'ftp://b', 'javascript:1']) assert.equal(socketOf(bad), '', bad);
  assert.equal(socketURL({ protocol: 'https:', host: 'h:1' }), 'wss://h:1/ws');
  assert.equal(socketURL({ protocol: 'http:', host: 'h' }), 'ws://h/ws');
});

test('the picture fits its box in the shape the core wants', () => {
  const nes = { width: 256, height: 240, aspect: 4 / 3, rotation: 0 };
  const wide = fit(nes, 1920, 1040);
  assert.equal(wide.height, 960, 'four times 240 is near enough to snap');
  assert.equal(Math.round(wide.width), 1280);
  const tall = fit(nes, 390, 800);
  assert.ok(tall.width <= 390 && Math.abs(tall.width / tall.height - 4 / 3) < 1e-9);
  const between = fit(nes, 4000, 470);
  assert.equal(between.height, 470, 'a far multiple is not worth the loss');
  assert.equal(fit(nes, 4000, 130).height, 130, 'smaller than native');
  assert.equal(fit({ ...nes, aspect: 0 }, 4000, 240).width, 256);
});

test('device pixels count for whole multiples', () => {
  const { height } = fit({ width: 160, height: 144, aspect: 10 / 9, rotation: 0 }, 1000, 300, 2);
  assert.equal(height * 2, 576);
});

test('a turned picture', () => {
  const swan = { width: 224, height: 144, aspect: 144 / 224, rotation: 1 };
  const { width, height, turns } = fit(swan, 1000, 700);
  assert.equal(turns, 1);
  assert.equal(height, 672);
  assert.ok(Math.abs(width / height - 144 / 224) < 1e-9);
  assert.ok(fit({ ...swan, aspect: 0 }, 1000, 700).width < 700);
  for (const [rotation, want] of [[4, 0], [-1, 3], [undefined, 0], ['x', 0]]) assert.equal(fit({ ...swan, rotation }, 9, 9).turns, want);
});

test('hostile geometry gives a size all the same', () => {
  for (const g of [{}, { width: 0, height: 0, aspect: NaN }, { width: 1e9, height: 1, aspect: -4 }, { width: 'x', height: null, aspect: 'y' }]) {
    const { width, height } = fit(g, 800, 600);
    assert.ok(width > 0 && height > 0 && width <= 800.01 && height <= 600.01, JSON.stringify([g, width, height]));
  }
});

const report = (at, frames) => new Map([
  ['v', { id: 'v', type: 'inbound-rtp', kind: 'video', timestamp: at, framesDecoded: frames, framesDropped: 1, freezeCount: 0, bytesReceived: frames * 1000,
    jitterBufferDelay: frames * 0.01, jitterBufferEmittedCount: frames, totalDecodeTime: frames * 0.002, packetsLost: 3, frameWidth: 512, frameHeight: 480, codecId: 'c' }],
  ['a', { id: 'a', type: 'inbound-rtp', kind: 'audio', timestamp: at, bytesReceived: frames * 100, jitterBufferDelay: frames * 0.03, jitterBufferEmittedCount: frames, packetsLost: 0 }],
  ['c', { id: 'c', type: 'codec', mimeType: 'video/H264', sdpFmtpLine: 'packetization-mode=1;profile-level-id=4d001f' }],
  ['t', { id: 't', type: 'transport', selectedCandidatePairId: 'p' }],
  ['p', { id: 'p', type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r', currentRoundTripTime: 0.012 }],
  ['l', { id: 'l', candidateType: 'relay', protocol: 'udp', relayProtocol: 'tcp' }],
  ['r', { id: 'r', candidateType: 'host', protocol: 'udp' }],
]);

test('statistics between two reports', () => {
  const figures = summarise(pick(report(3000, 180)), pick(report(1000, 60)));
  assert.equal(figures.fps, 60);
  assert.equal(figures.videoBitrate, 60 * 1000 * 8);
  assert.equal(Math.round(figures.videoBuffer), 10);
  assert.equal(Math.round(figures.audioBuffer), 30);
  assert.equal(Math.round(figures.decodeTime), 2);
  assert.equal(figures.rtt, 12);
  assert.equal(figures.codec, 'H264 4d001f');
  assert.equal(figures.path, 'relay · udp over tcp');
});

test('statistics of nothing, and of a first look', () => {
  for (const now of [pick(new Map()), pick(report(1000, 60))]) {
    const figures = summarise(now, null);
    assert.equal(figures.fps, null);
    for (const [label, value] of rows(figures)) assert.doesNotMatch(value, /NaN|undefined|null/, label);
  }
  assert.equal(summarise(pick(report(1000, 60)), pick(report(1000, 60))).videoBuffer, null);
});

test('words for figures', () => {
  assert.deepEqual([bitrate(null), bitrate(420e3), bitrate(2.5e6)], ['–', '420 kbit/s', '2.50 Mbit/s']);
  assert.equal(pathName({ candidateType: 'prflx', protocol: 'udp' }, { candidateType: 'host' }), 'direct · udp');
  assert.equal(pathName({ candidateType: 'host', protocol: 'udp' }, { candidateType: 'relay' }), 'relay · udp');
  assert.deepEqual(['Player 1', 'Player 2 of 4', 'Watching'], [{ player: 1, seats: 1 }, { player: 2, seats: 4 }, { player: 0, seats: 2 }].map(seatName));
});

test('settings survive rubbish and a missing storage', () => {
  for (const bad of [null, 7, 'x', [], { volume: 'loud', muted: 1, touch: 'x' }]) assert.deepEqual(sane(bad), { volume: 0.8, muted: false, touch: 'auto', withoutGCM: '', zone: '' });
  assert.equal(sane({ volume: 9 }).volume, 1);
  const none = new Settings(null);
  none.set('muted', true);
  assert.equal(none.get('muted'), true);
  const broken = new Settings({ getItem: () => '{', setItem: () => { throw new Error('full'); } });
  broken.set('volume', 0.5);
  assert.equal(broken.get('volume'), 0.5);
  const kept = new Map();
  const storage = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v) };
  new Settings(storage).set('volume', 0.25);
  assert.equal(new Settings(storage).get('volume'), 0.25);
});

test('every code has words and a way out', () => {
  for (const code of ['bad-request', 'too-large', 'version', 'not-found', 'no-worker', 'full', 'denied', 'failed', 'no-path', 'lost-path', 'gone', 'closed', 'timeout', 'browser', 'address', 'constructor']) {
    for (const join of [true, false]) {
      const reason = explain(code, '', { join });
      assert.ok(reason.title && reason.actions.length > 0, code);
      assert.equal(reason.code, code);
    }
  }
  assert.notEqual(explain('not-found', '', { join: true }).title, explain('not-found').title);
  assert.equal(explain('full', 'Own words.').text, 'Own words.');
});

test('a server speaks in sentences', () => {
  for (const [said, want] of [['no game "x"; choose another', 'No game "x"; choose another.'], ['Done!', 'Done!'], ['', ''], [undefined, ''], [7, '7.']]) {
    assert.equal(sentence(said), want);
  }
});

test('games by system, old systems first, tests last', () => {
  const games = validGames([
    { id: 'z', title: 'Zed', system: 'test' }, { id: 'b10', title: 'B 10', system: 'nes' }, { id: 'b9', title: 'B 9', system: 'nes' },
    { id: 'q', title: 'Q', system: 'dos' }, { id: 'g', title: 'Gee', system: 'gba' },
    { id: '../x', title: 'bad' }, null, { title: 'no id' }, { id: 'n' },
  ]);
  assert.equal(games.length, 6);
  assert.deepEqual(group(games).map((one) => one.system.name), ['NES', 'Game Boy Advance', 'DOS', 'Other', 'Test']);
  assert.deepEqual(group(games)[0].games.map((g) => g.id), ['b9', 'b10']);
  assert.deepEqual(group(games, 'ADVANCE gee').flatMap((one) => one.games.map((g) => g.id)), ['g']);
  assert.deepEqual(group(games, 'none such'), []);
  assert.deepEqual(validGames({}), []);
});

test('touch buttons by system', () => {
  assert.deepEqual(systemOf('nes').buttons, [Button.A, Button.B]);
  assert.equal(systemOf('snes').buttons.length, 6);
  assert.equal(systemOf('constructor').buttons.length, 6);
});

test('covers: the same id, the same picture; another id, another', () => {
  assert.equal(seedOf(''), 0x811c9dc5);
  assert.notEqual(seedOf('quad'), seedOf('quae'));
  const run = (seed) => { const random = randomOf(seed); return Array.from({ length: 5 }, random); };
  assert.deepEqual(run(7), run(7));
  assert.notDeepEqual(run(7), run(8));
  assert.ok(run(7).every((v) => v >= 0 && v < 1));
  assert.deepEqual(paletteOf(6, randomOf(1)), paletteOf(6, randomOf(1)));
});

test('letters', () => {
  assert.equal(plain('Pokémon  Ünïon™!'), 'POKEMON UNION !');
  assert.equal(plain('日本'), '');
  assert.equal(textWidth('AB'), 11);
  assert.equal(pixels('I').length, 5 + 3 + 5);
  assert.equal(pathOf('-'), 'M1 2h3v1h-3z');
  assert.equal(pathOf(''), '');
  assert.deepEqual(wrap('Anguna: Warriors of Virtue', 15, 2), ['ANGUNA:', 'WARRIORS OF']);
  assert.deepEqual(wrap('Supercalifragilistic', 7, 2), ['SUPERCA']);
  assert.deepEqual(wrap('', 7, 2), []);
});

const offer = ['m=audio 9 UDP/TLS/RTP/SAVPF 111 63', 'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1', 'a=rtpmap:63 red/48000/2', 'a=fmtp:63 111/111', ''].join('\r\n');

test('Opus is asked for in stereo, once, and nothing else changes', () => {
  assert.equal(stereo(offer), offer.replace('useinbandfec=1', 'useinbandfec=1;stereo=1'));
  assert.equal(stereo(stereo(offer)), stereo(offer));
  assert.equal(stereo('v=0\r\n'), 'v=0\r\n');
});

test('the jitter buffer is set where it can be', () => {
  const both = { jitterBufferTarget: null, playoutDelayHint: null };
  noDelay(both);
  assert.deepEqual(both, { jitterBufferTarget: 0, playoutDelayHint: 0 });
  const none = {};
  noDelay(none);
  assert.deepEqual(none, {});
  noDelay(Object.freeze({ jitterBufferTarget: null }));
});

class FakeConnection {
  channels = {};
  candidates = [];
  localDescription = null;
  remote = null;
  constructor(config) { this.config = config; }
  addTransceiver(kind, init) { return { init, receiver: { track: kind, jitterBufferTarget: null } }; }
  createDataChannel(label, init) { return (this.channels[label] = { init, readyState: 'connecting', bufferedAmount: 0, sent: [], send(x) { this.sent.push(x); } }); }
  setConfiguration(config) {
    if (config.iceServers.some((s) => s.urls[0] === 'bad')) throw new SyntaxError('bad');
    this.config = config;
  }
  async createOffer(options) { return { type: 'offer', sdp: options?.iceRestart ? `${offer}a=restart\r\n` : offer }; }
  async setLocalDescription(d) { this.localDescription = d; }
  async setRemoteDescription(d) { this.remote = d; }
  async addIceCandidate(c) { this.candidates.push(c.candidate); }
  close() { this.closed = true; }
}

function peerOf() {
  let pc;
  const heard = [];
  const on = new Proxy({}, { get: (_, name) => (...args) => heard.push([name, ...args]) });
  const peer = new Peer({ relay: true, on, make: (config) => (pc = new FakeConnection(config)) });
  return { peer, pc, heard };
}

test('a peer has the channels and the policy of the contract', async () => {
  const { peer, pc } = peerOf();
  assert.equal(pc.config.iceTransportPolicy, 'relay');
  assert.deepEqual(pc.channels.input.init, { negotiated: true, id: 0, ordered: false, maxRetransmits: 0 });
  assert.deepEqual(pc.channels.control.init, { negotiated: true, id: 1, ordered: true });
  assert.match(await peer.offer([{ urls: ['turn:x'] }]), /stereo=1/);
  assert.deepEqual(pc.config.iceServers, [{ urls: ['turn:x'] }]);
  peer.configure([{ urls: ['bad'] }]);
  assert.deepEqual(pc.config.iceServers, []);
});

test('candidates wait for the answer, also after a restart', async () => {
  const { peer, pc } = peerOf();
  await peer.offer([]);
  peer.candidate({ candidate: 'one' });
  peer.candidate({ candidate: '' });
  peer.candidate(null);
  assert.deepEqual(pc.candidates, []);
  await peer.answer('x');
  peer.candidate({ candidate: 'two' });
  assert.match(await peer.restart(), /restart/);
  peer.candidate({ candidate: 'three' });
  assert.deepEqual(pc.candidates, ['one', 'two']);
  await peer.answer('y');
  assert.deepEqual(pc.candidates, ['one', 'two', 'three']);
});

test('input is dropped rather than queued; control only goes out when open', () => {
  const { peer, pc, heard } = peerOf();
  const { input, control } = pc.channels;
  peer.sendInput(new Uint8Array(16));
  assert.equal(peer.sendControl({ type: 'ping' }), false);
  input.readyState = control.readyState = 'open';
  peer.sendInput(new Uint8Array(16));
  input.bufferedAmount = 5000;
  peer.sendInput(new Uint8Array(16));
  assert.equal(input.sent.length, 1);
  assert.ok(peer.sendControl({ type: 'ping' }));
  assert.deepEqual(control.sent, ['{"type":"ping"}']);
  for (const data of ['{', 'null', '7', '{"x":1}', '{"type":"pong","t":1}']) control.onmessage({ data });
  assert.deepEqual(heard, [['control', { type: 'pong', t: 1 }]]);
  peer.close();
  assert.ok(pc.closed);
});

test('a browser without AES-GCM is known again, until it is another version', () => {
  let kept = null;
  const storage = { getItem: () => kept, setItem: (_, value) => { kept = value; } };
  const srtp = (agent) => srtpMemory(new Settings(storage), agent);
  assert.equal(srtp('Old/1').plain, false);
  srtp('Old/1').learn();
  assert.equal(srtp('Old/1').plain, true);
  assert.equal(srtp('Old/2').plain, false);
  assert.equal(srtp('').plain, false);
  const long = 'x'.repeat(5000);
  srtp(long).learn();
  assert.equal(srtp(long).plain, true);
  assert.ok(kept.length < 1000);
});
