import test from 'node:test';
import assert from 'node:assert/strict';
import { Zones, byDistance, measure, median, validZones } from '../app/zones.js';
import { Settings, TabMemory } from '../app/settings.js';
import { knock, signedOut } from '../app/knock.js';

/** Storage of a browser, in memory. */
function memory(values = new Map()) {
  return { getItem: (k) => values.get(k) ?? null, setItem: (k, v) => values.set(k, v), removeItem: (k) => values.delete(k) };
}

const zones = [{ name: 'us', probe: '/us' }, { name: 'eu', probe: 'http://eu/echo' }, { name: 'far', probe: '' }];

/** A network: answers by URL, counts what was asked. */
function network(answers) {
  const get = async (url) => {
    get.asked.push(String(url));
    const answer = answers[url];
    if (answer === undefined) throw new TypeError('unreachable');
    const { json, status = 200, wait = 0 } = await answer;
    if (wait) await new Promise((resolve) => setTimeout(resolve, wait));
    return { ok: status < 300, status, json: async () => json, arrayBuffer: async () => new ArrayBuffer(0) };
  };
  get.asked = [];
  return get;
}

const make = (get, { tab = new TabMemory(memory()), settings = new Settings(memory()) } = {}) =>
  new Zones({ tab, settings, base: 'http://x/', get });

const all = { '/api/v1/zones': { json: zones }, 'http://x/us': { wait: 20 }, 'http://eu/echo': {} };

test('what is not a zone is left out', () => {
  for (const bad of [null, {}, 'x', [null, 7, {}, { name: '' }, { name: 7 }, { name: 'x'.repeat(65) }]]) assert.deepEqual(validZones(bad), []);
  assert.deepEqual(validZones([{ name: 'eu', probe: 7, more: 1 }]), [{ name: 'eu', probe: '' }]);
  assert.equal(validZones(Array.from({ length: 100 }, (_, i) => ({ name: `z${i}` }))).length, 64);
});

test('the middle and the order', () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4.4]), 4);
  assert.equal(median([1, 2, 3, 100]), 2);
  assert.deepEqual(byDistance(zones, { us: 30, eu: 20 }).map((z) => z.name), ['eu', 'us', 'far']);
  assert.deepEqual(byDistance(zones, {}).map((z) => z.name), ['eu', 'far', 'us']);
});

test('a zone is asked six times, and the first does not count', async () => {
  const get = network({ 'http://z/': { } });
  assert.ok(await measure('http://z/', get) >= 0);
  assert.equal(get.asked.length, 6);
  assert.equal(await measure('http://nowhere/', get), null);
  assert.equal(await measure('http://bad/', network({ 'http://bad/': { status: 404 } })), null);
});

test('all are measured once, kept for the tab, and sent with a start', async () => {
  const tab = new TabMemory(memory());
  const get = network(all);
  const one = make(get, { tab });
  await Promise.all([one.look(), one.look()]);
  const { us, eu } = one.latencies;
  assert.ok(us >= 20 && eu < us, JSON.stringify(one.latencies));
  assert.deepEqual(one.list.map((z) => z.name), ['eu', 'us', 'far']);
  assert.deepEqual(await one.wish(), { zone: undefined, latencies: { us, eu } });
  assert.equal(get.asked.length, 13);
  const next = make(network({ '/api/v1/zones': { json: zones } }), { tab });
  assert.deepEqual(next.latencies, { us, eu }, 'known before anybody is asked');
  assert.deepEqual((await next.wish()).latencies, { us, eu });
  await next.look();
  assert.deepEqual(next.latencies, { us, eu });
});

test('one zone is not measured, none is no error', async () => {
  for (const answers of [{ '/api/v1/zones': { json: zones.slice(0, 1) } }, { '/api/v1/zones': { json: [] } }, { '/api/v1/zones': { status: 404 } }, {}]) {
    const get = network(answers);
    const it = make(get);
    await it.look();
    assert.deepEqual(await it.wish(), {});
    assert.equal(get.asked.length, 1);
  }
});

test('a start waits for a moment at most', async () => {
  const never = new Promise(() => {});
  const slow = make(network({ '/api/v1/zones': { json: zones }, 'http://x/us': never, 'http://eu/echo': {} }));
  slow.look();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const wish = await slow.wish(); // although one zone never answers
  assert.deepEqual(Object.keys(wish.latencies), ['eu'], 'what is known goes with it');
  const unknown = make(network({ '/api/v1/zones': never }));
  unknown.look();
  assert.deepEqual(await unknown.wish(), {});
});

test('a choice is kept, and dropped when its zone is gone', async () => {
  const settings = new Settings(memory());
  settings.set('zone', 'us');
  const it = make(network(all), { settings });
  await it.look();
  assert.equal(it.choice, 'us');
  assert.equal((await it.wish()).zone, 'us');
  const gone = make(network({ ...all, '/api/v1/zones': { json: zones.slice(1) } }), { settings });
  assert.equal(gone.choice, '');
  await gone.look();
  assert.equal((await gone.wish()).zone, undefined);
  assert.equal(settings.get('zone'), '');
});

test('the tab remembers a session for its room, or its place in line', () => {
  const storage = memory();
  const tab = new TabMemory(storage);
  assert.equal(tab.recall({ room: 'r' }), undefined);
  tab.keep({ room: 'r', game: 'quad', token: 't' });
  assert.equal(new TabMemory(storage).recall({ room: 'r' }), 't');
  assert.equal(tab.recall({ room: 'other' }), undefined);
  assert.equal(tab.recall({ game: 'quad' }), undefined, 'a new game is another session');
  tab.keep({ room: '', game: 'quad', token: 'q' });
  assert.equal(tab.recall({ game: 'quad' }), 'q');
  assert.equal(tab.recall({ game: 'else' }), undefined);
  assert.equal(tab.recall({ room: 'r' }), undefined);
  tab.forget();
  assert.equal(tab.recall({ game: 'quad' }), undefined);
  for (const bad of [null, { getItem: () => '{' }, { getItem: () => '{"room":"r","token":7}' }, { getItem: () => { throw new Error('no'); } }]) {
    assert.equal(new TabMemory(bad).recall({ room: 'r' }), undefined);
  }
  new TabMemory({ setItem: () => { throw new Error('full'); } }).keep({});
});

test('who answers a knock, and who wants a sign-in', async () => {
  const get = network({ 'http://a/api/v1/health': { status: 503 }, 'https://b/api/v1/health': {} });
  assert.equal(await knock(['ws://a/ws', 'wss://b/ws', 'ws://c/ws'], get), 'wss://b/ws');
  assert.equal(await knock(['ws://a/ws', 'ws://c/ws'], get), null);
  const me = (json) => signedOut('ws://a/ws', network({ 'http://a/api/v1/me': { json } }));
  assert.equal(await me({ user: null, signInRequired: true }), true);
  assert.equal(await me({ user: { id: 'x' }, signInRequired: true }), false);
  assert.equal(await me({ user: null, signInRequired: false }), false);
  assert.equal(await signedOut('ws://nowhere/ws', network({})), false);
});
