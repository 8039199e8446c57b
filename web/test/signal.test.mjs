import test from 'node:test';
import assert from 'node:assert/strict';
import { Backoff } from '../app/backoff.js';
import { Signal, SignalError } from '../app/signal.js';
import { FakeClock, settle, socketFactory } from './fakes.mjs';

function connected() {
  const clock = new FakeClock();
  const open = socketFactory();
  const seen = { states: [], hellos: [], refused: [], messages: [] };
  const signal = new Signal({ url: 'ws://x/ws', open, clock, random: () => 1, handlers: {
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
  assert.deepEqual(await second, { sdp: '2' });
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

test('a lost socket is opened again, with growing waits, until hello', async () => {
  const { clock, open, seen } = connected();
  for (const wait of [200, 400, 800]) {
    const n = open.all.length;
    open.last.drop();
    await clock.pass(wait - 1);
    assert.equal(open.all.length, n);
    await clock.pass(1);
    assert.equal(open.all.length, n + 1);
  }
  open.last.hello();
  open.last.drop();
  await clock.pass(200);
  assert.equal(open.all.length, 5);
  assert.equal(seen.states.filter((s) => s === 'lost').length, 4);
});

test('a socket that opens but says nothing is given up', async () => {
  const { clock, open } = connected();
  await clock.pass(8000);
  assert.equal(open.all.length, 2);
  assert.ok(open.all[0].closed);
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
  const signal = new Signal({ url: 'x', clock, random: () => 1, handlers: {}, open: () => { tries++; throw new Error('no'); } });
  signal.connect();
  await clock.pass(600);
  assert.equal(tries, 3);
  signal.close();
});
