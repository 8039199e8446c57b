import test from 'node:test';
import assert from 'node:assert/strict';
import { Backoff } from '../app/backoff.js';
import { Signal, SignalError } from '../app/signal.js';
import { FakeClock, settle, socketFactory } from './fakes.mjs';

function connected({ others, knock = async () => null } = {}) {
  const clock = new FakeClock();
  const open = socketFactory();
  const seen = { states: [], hellos: [], refused: [], messages: [], tokens: [], replaced: 0, shut: [], knocks: [] };
  const signal = new Signal({ url: 'ws://x/ws', others, open, clock, random: () => 1, knock: (urls) => {
    seen.knocks.push(urls);
    return knock(urls);
  }, handlers: {
    token: (t) => seen.tokens.push(t),
    replaced: () => { seen.replaced++; },
    shut: (url) => seen.shut.push(url),
    state: (s) => seen.states.push(s),
    hello: (h) => seen.hellos.push(h),
    refused: (e) => seen.refused.push(e.code),
    message: (type, data) => seen.messages.push([type, data]),
  } });
  signal.connect();
  return { clock, open, seen, signal };
}

test('back-off doubles from 0.2 s to 5 s, with jitter, and begins again', () => {
  const most = new Backoff({ random: () => 1 });
  assert.deepEqual(Array.from({ length: 7 }, () => most.next()), [200, 400, 800, 1600, 3200, 5000, 5000]);
  most.reset();
  assert.equal(most.next(), 200);
  const least = new Backoff({ random: () => 0 });
  assert.deepEqual([least.next(), least.next()], [100, 200]);
});

test('hello makes it ready; requests are answered by their id', async () => {
  const { open, seen, signal } = connected();
  await assert.rejects(signal.request('start', {}), { code: 'lost' });
  open.last.hello();
  assert.deepEqual(seen.states, ['connecting', 'greeted', 'ready']);
  const first = signal.request('start', { game: 'a', sdp: 'x' });
  const second = signal.request('offer', { sdp: 'y' });
  const [start, offer] = open.last.sent;
  assert.deepEqual(start, { v: 1, type: 'start', id: start.id, data: { game: 'a', sdp: 'x' } });
  open.last.say('answer', { sdp: '2' }, offer.id);
  open.last.say('error', { code: 'full', message: 'No.' }, start.id);
  assert.deepEqual(await second, { type: 'answer', data: { sdp: '2' } });
  await assert.rejects(first, (e) => e instanceof SignalError && e.code === 'full' && e.message === 'No.');
});

test('an error without an id belongs to the only request there is', async () => {
  const { open, seen, signal } = connected();
  open.last.hello();
  const request = signal.request('start', {});
  open.last.say('error', { code: 'bad-request', message: 'Unreadable.' });
  await assert.rejects(request, { code: 'bad-request' });
  open.last.say('error', { code: 'failed', message: 'By itself.' });
  assert.deepEqual(seen.messages, [['error', { code: 'failed', message: 'By itself.' }]]);
});

test('an error about a candidate fails no request', async () => {
  const { open, seen, signal } = connected();
  open.last.hello();
  let done = false;
  const request = signal.request('start', {}).then(() => { done = true; });
  signal.post('candidate', { candidate: 'c' });
  open.last.answer('candidate', 'error', { code: 'not-found', message: 'Too early.' });
  await settle();
  assert.equal(done, false);
  assert.deepEqual(seen.messages, []);
  open.last.answer('start', 'answer', {});
  await request;
});

test('a request that is never answered times out', async () => {
  const { clock, open, signal } = connected();
  open.last.hello();
  const request = assert.rejects(signal.request('start', {}, 1000), { code: 'timeout' });
  await clock.pass(1000);
  await request;
  open.last.answer('start', 'answer', {}); // too late: nobody minds
});

test('a lost socket is opened again at once, and then in rounds that knock first', async () => {
  const up = { url: null };
  const { clock, open, seen } = connected({ knock: async () => up.url });
  open.last.hello();
  open.last.drop();
  await clock.pass(200);
  assert.equal(open.all.length, 2, 'at once');
  assert.equal(seen.knocks.length, 0);
  open.last.drop();
  await clock.pass(199);
  assert.equal(seen.knocks.length, 0);
  await clock.pass(1);
  assert.deepEqual(seen.knocks, [['ws://x/ws']]);
  assert.equal(open.all.length, 3, 'the first round tries although nobody answered');
  for (let i = 0; i < 600; i++) {
    open.last.drop();
    await clock.pass(100);
  }
  assert.ok(seen.knocks.length > 30, `${seen.knocks.length} knocks in a minute`);
  const tried = open.all.length;
  assert.ok(tried < 30, `${tried} sockets in a minute: browsers punish that`);
  up.url = 'ws://x/ws';
  await clock.pass(1500);
  assert.ok(open.all.length > tried);
  open.last.hello();
  open.last.drop();
  await clock.pass(200);
  open.last.drop();
  await clock.pass(200);
  open.last.hello();
  assert.equal(seen.states.at(-1), 'ready');
});

test('other addresses are tried in turn: the own one once, then each', async () => {
  const it = connected();
  it.open.last.hello();
  it.signal.know(['ws://b/ws', 'ws://x/ws', 'ws://c/ws']);
  assert.deepEqual(it.signal.addresses, ['ws://x/ws', 'ws://b/ws', 'ws://c/ws']);
  it.open.last.drop();
  for (let i = 0; i < 3; i++) {
    await it.clock.pass(200);
    it.open.last.drop();
  }
  assert.deepEqual(it.open.urls, ['ws://x/ws', 'ws://x/ws', 'ws://b/ws', 'ws://c/ws']);
  await it.clock.pass(200);
  assert.deepEqual(it.seen.knocks[0], it.signal.addresses);
});

test('a server that goes away is not asked again while there is another', async () => {
  const it = connected({ others: ['ws://b/ws'] });
  it.open.last.hello();
  it.signal.bind('t');
  it.open.last.drop(1001);
  await it.clock.pass(200);
  assert.deepEqual(it.open.urls, ['ws://x/ws', 'ws://b/ws']);
  it.open.last.hello();
  assert.deepEqual(it.open.last.of('resume')[0].data, { token: 't' });
  assert.equal(it.signal.url, 'ws://b/ws');
  const alone = connected();
  alone.open.last.hello();
  alone.open.last.drop(1001);
  await alone.clock.pass(199);
  assert.equal(alone.open.all.length, 1, 'it needs a moment');
  await alone.clock.pass(1);
  assert.equal(alone.open.all.length, 2);
});

test('who answers a knock is taken', async () => {
  const it = connected({ others: ['ws://b/ws', 'ws://c/ws'], knock: async () => 'ws://c/ws' });
  for (let i = 0; i < 4; i++) {
    it.open.last.drop();
    await it.clock.pass(200);
  }
  assert.equal(it.signal.url, 'ws://c/ws');
  it.open.last.drop();
  assert.deepEqual(it.seen.shut, ['ws://c/ws'], 'it answers, but takes no socket');
});

test('others are tried by a socket, too, where a knock may not go; rarer with time', async () => {
  const it = connected({ others: ['ws://b/ws', 'ws://c/ws'] });
  it.open.last.drop();
  for (let i = 0; i < 1200; i++) {
    await it.clock.pass(50);
    it.open.last.drop();
  }
  const urls = it.open.urls.slice(4); // after each had its turn
  assert.ok(urls.length >= 18 && urls.length <= 26, `${urls.length} in a minute`);
  assert.deepEqual(new Set(urls), new Set(['ws://b/ws', 'ws://c/ws']));
  for (let i = 0; i < 1200; i++) {
    await it.clock.pass(50);
    it.open.last.drop();
  }
  assert.ok(it.open.urls.length - 4 - urls.length <= 6);
});

test('a session resumed elsewhere is not fought for', async () => {
  const it = connected();
  it.open.last.hello();
  const request = assert.rejects(it.signal.request('servers'), { code: 'lost' });
  it.open.last.drop(4001);
  await request;
  await it.clock.pass(60000);
  assert.equal(it.seen.replaced, 1);
  assert.equal(it.signal.state, 'closed');
  assert.equal(it.open.all.length, 1);
  assert.equal(it.clock.pending, 0);
});

test('a socket that opens but says nothing is given up, sooner if there is another', async () => {
  const { clock, open } = connected();
  await clock.pass(7999);
  assert.equal(open.all.length, 1);
  await clock.pass(201);
  assert.equal(open.all.length, 2);
  assert.ok(open.all[0].closed);
  const two = connected({ others: ['ws://b/ws'] });
  two.open.last.hello();
  two.signal.recycle(true);
  await two.clock.pass(200);
  assert.deepEqual(two.open.urls, ['ws://x/ws', 'ws://b/ws'], 'what fell silent is left');
  await two.clock.pass(1700);
  assert.deepEqual(two.open.urls.slice(2), ['ws://x/ws']);
});

test('a resume that one server refuses for long is tried at another', async () => {
  const it = connected({ others: ['ws://b/ws'] });
  it.open.last.hello();
  it.signal.bind('t');
  it.open.last.drop();
  await it.clock.pass(200);
  it.open.last.hello();
  for (let i = 0; i < 3; i++) {
    it.open.last.answer('resume', 'error', { code: 'no-worker', message: 'Not yet.' });
    await it.clock.pass(1500);
  }
  assert.equal(it.signal.url, 'ws://b/ws');
  assert.deepEqual(it.seen.refused, ['no-worker', 'no-worker', 'no-worker']);
});

test('a session that is forgotten makes way for the new one', async () => {
  const it = connected();
  it.signal.bind('old');
  it.open.last.hello('new');
  it.open.last.answer('resume', 'error', { code: 'denied', message: 'Too old.' });
  await settle();
  assert.equal(it.signal.state, 'refused');
  it.signal.unbind();
  assert.equal(it.signal.state, 'ready');
  await it.clock.pass(60000);
  assert.equal(it.open.last.of('resume').length, 1);
});

test('places in line are answers to who asks, and news to who waits', async () => {
  const it = connected();
  it.open.last.hello();
  const request = it.signal.request('start', {});
  it.open.last.say('queued', { position: 4 });
  it.open.last.answer('start', 'queued', { position: 3, waiting: 5 });
  assert.deepEqual(await request, { type: 'queued', data: { position: 3, waiting: 5 } });
  it.open.last.say('granted', { ticket: 'x' });
  assert.deepEqual(it.seen.messages, [['queued', { position: 4 }], ['granted', { ticket: 'x' }]]);
});

test('a lost socket fails what was asked', async () => {
  const { open, signal } = connected();
  open.last.hello();
  const request = assert.rejects(signal.request('start', {}), { code: 'lost' });
  open.last.drop();
  await request;
});

test('a bound session is resumed, with the newest token, and queued posts follow', async () => {
  const { clock, open, seen, signal } = connected();
  open.last.hello('one');
  signal.bind('two');
  open.last.drop();
  signal.post('candidate', { candidate: 'late' });
  await clock.pass(200);
  open.last.hello('unwanted');
  assert.equal(signal.state, 'greeted');
  assert.deepEqual(open.last.of('resume')[0].data, { token: 'two' });
  assert.equal(open.last.of('candidate').length, 0);
  open.last.answer('resume', 'resumed', { session: 's', token: 'three' });
  await settle();
  assert.equal(signal.state, 'ready');
  assert.equal(open.last.of('candidate').length, 1);
  assert.equal(seen.hellos.length, 2);
  open.last.drop();
  await clock.pass(200);
  open.last.hello();
  assert.deepEqual(open.last.of('resume')[0].data, { token: 'three' });
  assert.deepEqual(seen.tokens, ['two', 'three']);
});

test('a refused resume is told and tried again on the same socket', async () => {
  const { clock, open, seen, signal } = connected();
  open.last.hello();
  signal.bind('');
  open.last.drop();
  await clock.pass(200);
  open.last.hello();
  open.last.answer('resume', 'error', { code: 'not-found', message: 'Unknown.' });
  await settle();
  assert.equal(signal.state, 'refused');
  assert.deepEqual(seen.refused, ['not-found']);
  await clock.pass(400);
  assert.equal(open.last.of('resume').length, 2);
  open.last.answer('resume', 'resumed', { token: 'x' });
  await settle();
  assert.equal(signal.state, 'ready');
  assert.equal(open.all.length, 2);
});

test('the queue of a lost socket is bounded and keeps the newest', async () => {
  const { clock, open, signal } = connected();
  for (let i = 0; i < 100; i++) signal.post('candidate', { candidate: String(i) });
  open.last.hello();
  const sent = open.last.of('candidate').map((m) => m.data.candidate);
  assert.equal(sent.length, 64);
  assert.equal(sent.at(-1), '99');
  await clock.pass(1);
});

test('rubbish from the server is passed over; another version is told', () => {
  const { open, seen, signal } = connected();
  for (const text of ['', '{', 'null', '[]', '7', '{"v":1}', '{"v":1,"type":7}']) open.last.onmessage({ data: text });
  assert.deepEqual(seen.messages, []);
  open.last.onmessage({ data: '{"v":2,"type":"hello","data":{}}' });
  assert.equal(seen.messages[0][1].code, 'version');
  assert.equal(signal.state, 'connecting');
});

test('close leaves, once, and nothing comes after it', async () => {
  const { clock, open, signal } = connected();
  open.last.hello();
  const socket = open.last;
  signal.close(true);
  signal.close(true);
  assert.equal(socket.of('leave').length, 1);
  assert.ok(socket.closed);
  signal.connect();
  signal.recycle();
  signal.post('candidate', {});
  await clock.pass(60000);
  assert.equal(open.all.length, 1);
  assert.equal(clock.pending, 0);
});

test('a socket that cannot even be made is tried again', async () => {
  const clock = new FakeClock();
  let tries = 0;
  const signal = new Signal({ url: 'x', clock, random: () => 1, handlers: {}, knock: async () => 'x', open: () => { tries++; throw new Error('no'); } });
  signal.connect();
  await clock.pass(200);
  assert.equal(tries, 2);
  await clock.pass(200);
  assert.equal(tries, 3);
  signal.close();
});
