// Whether a coordinator answers, asked over HTTP. Browsers make a page wait the
// longer for a WebSocket the more of them have failed (Chromium: up to 5 s), so
// that a page which waits for a server must not find out by WebSockets.

import { originOf } from './route.js';

const PATIENCE = 1500; // ms

/**
 * Asks all of them.
 * @param {string[]} urls of WebSockets
 * @param {typeof fetch} [get]
 * @returns {Promise<string | null>} the first that answered
 */
export function knock(urls, get = fetch) {
  return Promise.any(urls.map(async (url) => {
    const { status } = await get(`${originOf(url)}/api/v1/health`, {
      cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(PATIENCE),
    });
    if (status >= 500) throw new Error(String(status)); // a proxy without a server behind
    return url;
  })).catch(() => null);
}

/** Whether a WebSocket is refused here because nobody is signed in. */
export async function signedOut(url, get = fetch) {
  try {
    const response = await get(`${originOf(url)}/api/v1/me`, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
    const { user, signInRequired } = await response.json();
    return Boolean(signInRequired) && !user;
  } catch {
    return false;
  }
}
