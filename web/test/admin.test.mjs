import test from 'node:test';
import assert from 'node:assert/strict';
import { age, find, many, page, places, route, sort, views } from '../app/admin-model.js';
import { all, ask, refusal } from '../app/admin-ask.js';
import { Rounds } from '../app/admin-rounds.js';
import { FakeClock, settle } from './fakes.mjs';

const at = Date.parse('2026-01-02T12:00:00Z');
const context = { now: at, names: new Map([['w1', 'one']]) };
const worker = (id, more) => ({
  id, name: `name ${id}`, zone: 'eu', state: 'ready', places: 8, free: 8, rooms: 0, sessions: 0, late: 0, games: 3, since: '2026-01-02T11:00:00Z', ...more,
});

test('how long something has been', () => {
  for (const [since, words] of [
    ['2026-01-02T11:59:56Z', '4 s'], ['2026-01-02T11:59:00Z', '1 min'], ['2026-01-02T10:01:00Z', '1 h 59 min'], ['2025-12-31T09:00:00Z', '2 d 3 h'],
    ['2026-01-02T12:00:09Z', '0 s'], ['nonsense', ''], [undefined, ''],
  ]) assert.equal(age(since, at), words);
  assert.equal(many(1, 'player'), '1 player');
  assert.equal(many(1200, 'viewer'), '1,200 viewers');
});

test('places are taken, held or free, and never more than there are', () => {
  assert.deepEqual(places(worker('a', { free: 3, rooms: 4 })), { all: 8, taken: 4, held: 1, free: 3 });
  assert.deepEqual(places(worker('a', { free: 8, rooms: 2 })), { all: 8, taken: 2, held: 0, free: 6 });
  assert.deepEqual(places(worker('a', { free: 0, rooms: 12 })), { all: 8, taken: 8, held: 0, free: 0 });
  assert.deepEqual(places(worker('a', { places: 0, free: 0 })), { all: 0, taken: 0, held: 0, free: 0 });
});

test('each column of each list can be shown and sorted by', () => {
  const rows = {
    workers: [worker('w1'), worker('w2', { name: '', zone: '', state: 'unheard-of', late: 200 })],
    rooms: [{ id: 'r1', game: 'pong', title: 'Pong', system: '', worker: 'w1', players: 1, viewers: 0, seats: 2, closed: true },
      { id: 'r2', game: 'x', title: '', system: 'nes', worker: 'w9', players: 0, viewers: 2, seats: 2, closed: false, since: '2026-01-02T11:00:00Z' }],
    sessions: [{ id: 's1', worker: 'w1', room: 'r1', game: 'pong', player: 1, hosting: true, away: true, user: { name: 'Una', role: 'admin' }, since: '2026-01-02T11:00:00Z' },
      { id: 's2', worker: 'w9', room: 'r1', game: 'pong', player: 0, hosting: false, away: false, user: null, since: '2026-01-02T11:00:00Z' }],
  };
  for (const [name, view] of Object.entries(views)) {
    for (const column of view.columns) {
      for (const down of [true, false]) assert.equal(sort(view, rows[name], { column: column.id, down }, context).length, 2);
      for (const row of rows[name]) assert.equal(typeof column.cell(row, context).text, 'string', `${name} ${column.id}`);
    }
    for (const row of rows[name]) assert.ok(view.action(row).label && view.name(row));
  }
  assert.equal(views.workers.action(worker('w', { state: 'draining' })).name, 'undrain');
  assert.equal(views.rooms.columns.find((c) => c.id === 'worker').cell(rows.rooms[0], context).text, 'one');
  assert.equal(views.sessions.columns[0].cell(rows.sessions[1], context).text, 'Guest');
});

test('order is by numbers where there are numbers, and does not jump among equals', () => {
  const rows = [worker('b', { name: 'n10' }), worker('c', { name: 'n2', late: 5 }), worker('a', { name: 'N2' })];
  const ids = (by) => sort(views.workers, rows, by, context).map((w) => w.id).join('');
  assert.equal(ids({ column: 'name', down: false }), 'acb');
  assert.equal(ids({ column: 'late', down: true }), 'cab');
  assert.equal(ids({ column: 'nothing', down: false }), 'acb');
  const rooms = [{ id: 'x', since: undefined }, { id: 'y', since: '2026-01-02T11:00:00Z' }, { id: 'z', since: '2026-01-02T11:30:00Z' }];
  assert.equal(sort(views.rooms, rooms, { column: 'since', down: false }, context).map((r) => r.id).join(''), 'zyx');
});

test('every word of a filter has to be there', () => {
  const rows = [worker('w1', { zone: 'eu' }), worker('w2', { zone: 'us' }), worker('w12', { zone: 'us', state: 'draining' })];
  const ids = (filter) => find(views.workers, rows, filter, context).map((w) => w.id).join(' ');
  assert.equal(ids(''), 'w1 w2 w12');
  assert.equal(ids('US'), 'w2 w12');
  assert.equal(ids(' us  drain '), 'w12');
  assert.equal(ids('nowhere'), '');
  assert.equal(ids('60 min'), '', 'what changes all the time is not searched');
  assert.equal(find(views.rooms, [{ id: 'r', game: 'pong', title: 'Pong', worker: 'w1' }], 'one', context).length, 1);
});

test('pages, and rows that stay where they are', () => {
  const rows = Array.from({ length: 120 }, (_, i) => ({ id: `r${i}` }));
  const one = page(rows, 2, 50);
  assert.deepEqual([one.rows.length, one.page, one.pages, one.from, one.to], [20, 2, 3, 101, 120]);
  assert.equal(page(rows, 9, 50).page, 2);
  assert.deepEqual([page([], 0, 50).pages, page([], 0, 50).from, page([], 3, 50).to], [1, 0, 0]);
  const ids = (keep) => page(rows.slice(0, 4), 0, 3, keep).rows.map((r) => r.id).join(' ');
  assert.equal(ids(['r2', 'r0', 'r1']), 'r2 r0 r1');
  assert.equal(ids(['r2', 'gone', 'r1']), 'r2 r1 r0');
  assert.equal(ids([]), 'r0 r1 r2');
});

test('addresses', () => {
  assert.deepEqual(route('#rooms'), { view: 'rooms', worker: '' });
  assert.deepEqual(route('#sessions/w1-x'), { view: 'sessions', worker: 'w1-x' });
  for (const other of ['', '#', '#workers/w1', '#constructor', '#toString/a', '#rooms/../x']) assert.deepEqual(route(other), { view: 'workers', worker: '' });
});

const answer = (status, body, headers = {}) => new Response(body, { status, headers });

test('refusals are in words', async () => {
  const kind = async (response) => {
    const error = await ask('/x', { get: async () => response }).catch((e) => e);
    return [error.kind, error.message];
  };
  assert.deepEqual(await kind(answer(401, '{"code":"sign-in","message":"x"}')), ['signin', 'You are not signed in any more.']);
  assert.deepEqual(await kind(answer(403, '{"code":"denied","message":"x"}')), ['role', 'You are not signed in as an admin any more.']);
  assert.deepEqual(await kind(answer(403, '{"code":"cross-site","message":"not you"}')), ['other', 'Not you.']);
  assert.deepEqual(await kind(answer(404, '{"code":"not-found","message":"it is gone"}')), ['gone', 'It is gone.']);
  assert.deepEqual(await kind(answer(503, '<h1>Bad')), ['other', 'The site answered with an error (503).']);
  assert.deepEqual(await kind(answer(200, '<h1>Good')), ['other', 'The site answered with something else than was asked for.']);
  assert.equal(refusal(429, null, '30').wait, 30_000);
  assert.equal(refusal(429, null, null).wait, 10_000);
  const away = await ask('/x', { get: async () => { throw new TypeError('no'); } }).catch((e) => e);
  assert.equal(away.kind, 'away');
  assert.equal(await ask('/x', { get: async () => answer(202, '') }), null);
});

test('a list is asked for in parts, with an end', async () => {
  const asked = [];
  const get = async (path) => {
    asked.push(path);
    return answer(200, JSON.stringify({ rooms: [{ id: 'a' }], next: asked.length < 3 ? 'a' : '', totals: { rooms: 3 } }));
  };
  const { rows, more, totals } = await all('rooms', { get });
  assert.deepEqual([rows.length, more, totals.rooms], [3, false, 3]);
  assert.deepEqual(asked.slice(0, 2), ['/api/v1/rooms?limit=1000', '/api/v1/rooms?limit=1000&after=a']);
  asked.length = 0;
  assert.equal((await all('rooms', { get, parts: 2, query: '&worker=w' })).more, true);
});

test('rounds: one at a time, none while stopped, fewer of those that take long', async () => {
  const clock = new FakeClock();
  let rounds = 0;
  let wait = 0;
  let takes = 0;
  const r = new Rounds(clock, () => {
    rounds++;
    return takes ? new Promise((resolve) => { clock.after(takes, () => resolve(wait)); }) : Promise.resolve(wait);
  });
  void r.now();
  await clock.pass(4001);
  assert.equal(rounds, 3);
  r.stop();
  await clock.pass(60_000);
  assert.equal([rounds, clock.pending].join(), '3,0');
  takes = 1000;
  void r.now();
  void r.now(); // while one is on its way: one more at once
  await clock.pass(1500);
  assert.equal(rounds, 5);
  await clock.pass(5400);
  assert.equal(rounds, 5);
  await clock.pass(200);
  assert.equal(rounds, 6);
  takes = 0;
  wait = 10_000;
  await clock.pass(16_500);
  assert.equal(rounds, 7);
  wait = Infinity;
  await clock.pass(20_000);
  assert.equal([rounds, clock.pending].join(), '8,0');
  await settle();
});
