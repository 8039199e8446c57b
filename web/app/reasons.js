// Errors in words: what happened, and what helps. Pure.

/**
 * @typedef {object} Reason
 * @property {string} code
 * @property {string} title  what happened, short
 * @property {string} text   what the server said, or what it means
 * @property {string} help   what helps
 * @property {('again'|'relay'|'reload'|'menu')[]} actions buttons to offer, the best first
 */

const reasons = {
  'no-worker': {
    title: 'No machine is free to run this',
    text: 'Games run on workers, and none is connected at the moment.',
    help: 'Try again in a moment. If this is your server: start a worker (cloudretro --role=worker) and see that it reaches the coordinator.',
    actions: ['again', 'menu'],
  },
  full: {
    title: 'No free place',
    text: 'Every place is taken.',
    help: 'Try again in a moment, or choose another game.',
    actions: ['again', 'menu'],
  },
  denied: {
    title: 'Not allowed',
    text: 'The server refused this page.',
    help: 'Reload the page to get a fresh pass.',
    actions: ['reload', 'menu'],
  },
  version: {
    title: 'The server has been updated',
    text: 'This page and the server no longer understand each other.',
    help: 'Reload the page.',
    actions: ['reload'],
  },
  'no-path': {
    title: 'The game runs, but no picture gets through',
    text: 'The server answered, yet no media path from the worker to this browser was found.',
    help: 'A firewall probably blocks UDP: to the worker (port 8443, if nothing else is configured), or to the relay before it. A relay alone may get around it.',
    actions: ['relay', 'again', 'menu'],
  },
  'no-relay': {
    title: 'The relay cannot be reached',
    text: 'Only relays were allowed, and none of them led to the worker.',
    help: 'The turn role has to run, and UDP to get there: to port 3478, or in Kubernetes to the one that its Service has. Without ?relay=1 the direct path is tried as well.',
    actions: ['direct', 'again', 'menu'],
  },
  'lost-path': {
    title: 'The connection to the game was lost',
    text: 'The way between this browser and the game broke, and none was found again for half a minute.',
    help: 'Check your network, then try again: the game stays open for a while.',
    actions: ['again', 'menu'],
  },
  gone: {
    title: 'This session is over',
    text: 'The server no longer knows it. This page was away for too long, or the worker has been restarted.',
    help: 'Start the game again.',
    actions: ['again', 'menu'],
  },
  closed: {
    title: 'The game has ended',
    text: '',
    help: 'Start it anew, or choose another.',
    actions: ['again', 'menu'],
  },
  timeout: {
    title: 'The server does not answer',
    text: 'It took the request and then fell silent.',
    help: 'It may be busy. Try again in a moment.',
    actions: ['again', 'menu'],
  },
  browser: {
    title: 'This browser cannot play',
    text: 'WebRTC failed or is switched off.',
    help: 'Use a current browser, and allow WebRTC for this page.',
    actions: ['again', 'menu'],
  },
  address: {
    title: 'Nothing is here',
    text: 'This address is neither a game nor a room.',
    help: 'Check the link, or pick a game from the menu.',
    actions: ['menu'],
  },
  expired: {
    title: 'This invitation has expired',
    text: 'It was made for a certain time, which is over.',
    help: 'Ask the host of the room for a new link.',
    actions: ['menu', 'again'],
  },
  revoked: {
    title: 'This invitation was taken back',
    text: 'The host of the room has withdrawn it.',
    help: 'Ask the host of the room for a new link.',
    actions: ['menu', 'again'],
  },
  used: {
    title: 'This invitation has been used',
    text: 'It was for one person, and somebody has come by it.',
    help: 'Ask the host of the room for a link of your own.',
    actions: ['menu', 'again'],
  },
  invite: {
    title: 'This room is by invitation only',
    text: 'Its host has closed the door to plain links.',
    help: 'Ask the host of the room for an invitation.',
    actions: ['menu', 'again'],
  },
  forged: {
    title: 'This invitation is not valid',
    text: 'The room does not know it.',
    help: 'See whether the link was copied whole, or ask the host of the room for a new one.',
    actions: ['menu'],
  },
  removed: {
    title: 'You were removed from the room',
    text: 'The host of the room has removed you.',
    help: 'You can start a game of your own from the menu.',
    actions: ['menu'],
  },
  elsewhere: {
    title: 'The game goes on in another window',
    text: 'This session was opened again in another tab or window of this browser.',
    help: 'Play on there. Here you would come in as somebody else.',
    actions: ['menu', 'again'],
  },
  turn: {
    title: 'Your turn has passed',
    text: 'A place was held for you for a while, but this page did not take it in time.',
    help: 'Stand in line again.',
    actions: ['again', 'menu'],
  },
  draining: {
    title: 'No new games here just now',
    text: 'The machines are about to be updated. Games that run go on.',
    help: 'Try again in a moment.',
    actions: ['again', 'menu'],
  },
  overloaded: {
    title: 'All machines are busy',
    text: 'One more game would make those that run stutter.',
    help: 'Try again in a moment.',
    actions: ['again', 'menu'],
  },
  'sign-in': {
    title: 'Sign in to play',
    text: 'Nobody is signed in here, or no longer.',
    help: 'Reload the page to sign in.',
    actions: ['reload', 'menu'],
  },
  failed: {
    title: 'The game could not be started',
    text: 'Something broke on the server.',
    help: 'Try again. If it stays like this, the log of the worker says why.',
    actions: ['again', 'menu'],
  },
};

const notFound = {
  join: {
    title: 'This room is closed',
    text: 'A room closes half a minute after the last player has left.',
    help: 'Start the game anew and share the new link.',
    actions: ['again', 'menu'],
  },
  start: {
    title: 'This game is not here',
    text: 'No worker offers it at the moment.',
    help: 'It may have been removed, or its worker may be away. Look at the menu for what there is.',
    actions: ['menu', 'again'],
  },
};

/** What is tried again at the same address; after anything else a game begins anew. */
export const stays = Object.freeze(['lost-path', 'full', 'timeout', 'elsewhere', 'expired', 'revoked', 'used', 'invite']);

/** A server's words as a sentence: a capital first, a full stop last. */
export function sentence(text) {
  const trimmed = String(text ?? '').trim();
  if (trimmed === '') return '';
  return trimmed[0].toUpperCase() + trimmed.slice(1) + (/[.!?…]$/.test(trimmed) ? '' : '.');
}

/**
 * @param {string} code a code of coordinator/signal or one of this page
 * @param {string} [message] the server's own words
 * @param {{join?: boolean, relay?: boolean, turn?: boolean, invited?: boolean}} [context] turn: a place was held for us
 * @returns {Readonly<Reason>}
 */
export function explain(code, message = '', { join = false, relay = false, turn = false, invited = false } = {}) {
  let key = code;
  if (code === 'no-path' && relay) key = 'no-relay';
  if (code === 'expired' && (turn || !join)) key = 'turn';
  if (code === 'denied' && invited) key = 'forged';
  let reason = Object.hasOwn(reasons, key) ? reasons[key] : reasons.failed;
  if (code === 'not-found') reason = join ? notFound.join : notFound.start;
  return Object.freeze({ code, ...reason, text: sentence(message) || reason.text });
}
