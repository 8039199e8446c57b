// What the administration asks of the coordinator's API, and its refusals in words.

const PATIENCE = 10_000; // ms
const PART = 1000; // entries of one answer, the most there is
const PARTS = 5; // of one list

/** An error that was put into words for people. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {'away'|'signin'|'role'|'gone'|'rate'|'other'} kind
   * @param {number} wait ms until it is worth trying again, 0 = nothing was said
   */
  constructor(message, kind, wait = 0) {
    super(message);
    this.kind = kind;
    this.wait = wait;
  }
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.');

/** @returns {Refusal} what an answer means */
export function refusal(status, said, retry) {
  const words = typeof said?.message === 'string' && said.message ? sentence(said.message) : '';
  if (status === 401) return new Refusal('You are not signed in any more.', 'signin');
  if (status === 403 && said?.code === 'denied') return new Refusal('You are not signed in as an admin any more.', 'role');
  if (status === 404) return new Refusal(words || 'It is not there any more.', 'gone');
  if (status === 429) return new Refusal('This page asks more often than the site allows. It goes on more slowly.', 'rate', 1000 * (Number(retry) || 10));
  if (status >= 500) return new Refusal(words || `The site answered with an error (${status}).`, 'other');
  return new Refusal(words || `The site refused that (${status}).`, 'other');
}

/** Asks for a path, and answers what JSON there is; a Refusal is thrown. */
export async function ask(path, { method = 'GET', body, get = fetch } = {}) {
  const request = { method, cache: 'no-store', credentials: 'same-origin', signal: AbortSignal.timeout(PATIENCE) };
  if (body !== undefined) Object.assign(request, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  let response;
  try {
    response = await get(path, request);
  } catch (error) {
    const slow = error.name === 'TimeoutError';
    throw new Refusal(slow ? 'The site does not answer.' : 'The site cannot be reached.', 'away');
  }
  const text = await response.text().catch(() => '');
  let said = null;
  try { said = JSON.parse(text); } catch { /* a proxy may have answered */ }
  if (!response.ok) throw refusal(response.status, said, response.headers.get('retry-after'));
  if (text && said === null) throw new Refusal('The site answered with something else than was asked for.', 'other');
  return said;
}

/** A list in all its parts, but not more than five thousand entries. */
export async function all(name, { parts = PARTS, query = '', get } = {}) {
  const rows = [];
  let answer = {};
  let after = '';
  for (let part = 0; part < parts; part++) {
    answer = await ask(`/api/v1/${name}?limit=${PART}${query}${after && `&after=${after}`}`, { get });
    rows.push(...answer[name]);
    after = answer.next ?? '';
    if (!after) break;
  }
  return { ...answer, rows, more: Boolean(after) };
}
