// Where the page is: the address bar as data. Pure.

const GAME_ID = /^[a-z0-9][a-z0-9-]{0,63}$/;
const ROOM_ID = /^[a-z2-7]{26}$/; // base32, as workers make them
const INVITE = /^#invite=([\w.-]{1,1024})$/; // see coordinator/signal: MintInvite
const MAX_PLAYERS = 8;

/**
 * Reads an address.
 *   /             {view: 'menu'}
 *   /play/<game>  {view: 'play', game, relay}
 *   /room/<room>  {view: 'room', room, player, relay, invite}   player 0 = any free seat
 * An invitation comes in the fragment, #invite=<token>, so that no log has it.
 * Anything else is {view: 'unknown'}: the page says so and asks nobody.
 * @param {{pathname: string, search: string, hash?: string}} location
 */
export function parse(location) {
  const query = new URLSearchParams(location.search);
  const relay = query.get('relay') === '1';
  if (location.pathname === '/' || location.pathname === '/index.html') return { view: 'menu' };
  const [, kind, id = '', ...rest] = location.pathname.split('/');
  const tail = rest.join('/');
  if (tail !== '') return { view: 'unknown' };
  if (kind === 'play' && GAME_ID.test(id)) return { view: 'play', game: id, relay };
  if (kind === 'room' && ROOM_ID.test(id)) {
    return { view: 'room', room: id, player: seat(query.get('player')), relay, invite: INVITE.exec(location.hash ?? '')?.[1] ?? '' };
  }
  return { view: 'unknown' };
}

/** A wished seat out of a query: 1..8, anything else means "any". */
export function seat(text) {
  const n = Number(text);
  return Number.isInteger(n) && n >= 1 && n <= MAX_PLAYERS ? n : 0;
}

export const playPath = (game, relay = false) => `/play/${encodeURIComponent(game)}${relay ? '?relay=1' : ''}`;

export const roomPath = (room, relay = false) => `/room/${encodeURIComponent(room)}${relay ? '?relay=1' : ''}`;

/** What one sends to a friend: never with the own relay or seat in it. */
export const shareLink = (origin, room, invite = '') => origin + roomPath(room) + (invite && `#invite=${invite}`);

/** The signalling address that belongs to a page address. */
export function socketURL(location) {
  return `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/ws`;
}

/** The signalling address at another origin of this site, '' for none. */
export function socketOf(origin) {
  try {
    const url = new URL(origin);
    return /^https?:$/.test(url.protocol) ? socketURL(url) : '';
  } catch {
    return '';
  }
}

/** The origin that a signalling address belongs to. */
export const originOf = (socket) => socket.replace(/^ws/, 'http').replace(/\/ws$/, '');
