// The page on which players and admins sign in. The coordinator serves it at
// /signin, at /auth/callback, where a provider sends browsers back to, and in
// place of what nobody may see who is not signed in: then its address stays, and
// is loaded again after the sign-in, fragment and all.

import { h, replace } from './dom.js';

const panel = document.getElementById('signin');
const path = location.pathname;
const admins = path === '/admin' || path.startsWith('/admin/');
const here = path === '/signin' || path === '/auth/callback' ? '/' : path + location.search;
const hash = here === '/' && path !== '/' ? '' : location.hash;
const kept = 'signin'; // in sessionStorage: where the sign-in at a provider began
const tried = 'signin-tried'; // where this page last thought it was done, and when

// Where cookies are blocked, storage may throw.
const memory = {
  get(key) { try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; } },
  set(key, value) { try { sessionStorage.setItem(key, JSON.stringify(value)); } catch { /* it is not needed for more than comfort */ } },
};

/** An error that was put into words for people. */
class Refusal extends Error {}

/** Asks the coordinator; what it refuses is thrown in its own words. */
async function ask(address, body) {
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  let response;
  let said;
  try {
    response = await fetch(address, { cache: 'no-store', credentials: 'same-origin', ...(body && post) });
    said = response.status === 204 ? {} : await response.json();
  } catch {
    throw new Refusal(response ? `The site answered with an error (${response.status}). Try again in a moment.`
      : 'The site cannot be reached. Check the connection and try again.');
  }
  if (!response.ok) throw new Refusal(sentence(said.message ?? `error ${response.status}`));
  return said;
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');

// A cookie for this site only is not sent along when somebody follows a link
// from another one, not even when that page is then reloaded. It is when we go
// there from here, and only a change of path loads a page whose fragment stays.
function enter(target) {
  memory.set(tried, { target, when: Date.now() });
  history.replaceState(null, '', '/signin');
  location.replace(target);
}

const justTried = () => {
  const last = memory.get(tried);
  return last?.target === here + hash && Math.abs(Date.now() - last.when) < 5000;
};

function show(title, ...children) {
  document.title = `${title} - CloudRetro`;
  replace(panel, h('h1', {}, title), ...children.flat(2));
  panel.removeAttribute('aria-busy');
  panel.querySelector('[data-first]')?.focus();
}

/** A button that does something which takes a while and may be refused. */
function action(label, props, run) {
  const wrong = h('p', { class: 'signin-wrong', role: 'alert', hidden: true });
  const button = h('button', { type: 'button', class: 'button', ...props, onclick: () => attempt(button, wrong, run) }, label);
  return { button, wrong };
}

async function attempt(button, wrong, run) {
  if (button.disabled) return false;
  button.disabled = true;
  wrong.hidden = true;
  try {
    await run();
    return true;
  } catch (error) {
    if (!(error instanceof Refusal)) console.error(error);
    wrong.textContent = error instanceof Refusal ? error.message : 'Something went wrong on this page. Load it again.';
    wrong.hidden = false;
    return false;
  } finally {
    button.disabled = false;
  }
}

function passwordForm(label, first) {
  const wrong = h('p', { class: 'signin-wrong', role: 'alert', id: 'wrong', hidden: true });
  const input = h('input', {
    type: 'password', id: 'password', name: 'password', autocomplete: 'current-password', required: true, maxlength: 256,
    'aria-describedby': 'wrong', 'data-first': first, oninput: () => input.removeAttribute('aria-invalid'),
  });
  const button = h('button', { type: 'submit', class: first ? 'button primary' : 'button' }, 'Sign in');
  const submit = async (event) => {
    event.preventDefault();
    const done = await attempt(button, wrong, async () => {
      const { user } = await ask('/auth/login', { password: input.value });
      if (admins && user.role !== 'admin') throw new Refusal('That is the password of players. This page needs the admin password.');
      enter(here + hash);
    });
    if (done) return;
    input.setAttribute('aria-invalid', 'true');
    input.select();
    input.focus();
  };
  return h('form', { onsubmit: submit }, h('label', { for: 'password' }, label), input, wrong, h('div', { class: 'actions' }, button));
}

function providerButton(name) {
  const { button, wrong } = action(`Sign in with ${name}`, { class: 'button primary', 'data-first': true }, async () => {
    const { location: address } = await ask('/auth/start', { return: here });
    memory.set(kept, { here, hash });
    location.assign(address);
  });
  return [h('div', { class: 'actions' }, button), wrong];
}

function ways(state) {
  const typed = state.method === 'password' || state.password && (admins || path === '/signin');
  const label = state.method === 'password' && !admins ? 'Password' : 'Admin password';
  return [
    state.provider && providerButton(state.provider),
    state.provider && typed && h('p', { class: 'signin-or' }, 'or'),
    typed && passwordForm(label, !state.provider),
  ].flat();
}

function who(user) {
  return h('p', { class: 'signin-who' }, h('span', {}, 'Signed in as ', h('b', {}, user.name)), user.role === 'admin' && h('span', { class: 'signin-role' }, 'admin'));
}

function signedIn(state) {
  const out = action('Sign out', {}, async () => {
    await ask('/auth/logout', {});
    memory.set(tried, null);
    await start();
  });
  const wrongRole = admins && state.user.role !== 'admin';
  const title = wrongRole ? 'This page is for admins' : 'Welcome';
  const on = h('button', { type: 'button', class: 'button primary', 'data-first': true, onclick: () => enter(here + hash) }, 'Continue');
  show(title, who(state.user), wrongRole && (state.adminPossible ? ways(state) : explain(state)), h('div', { class: 'actions' }, !wrongRole && on, out.button), out.wrong);
}

function explain(state) {
  if (state.method === 'oidc') {
    return h('p', {}, 'Nobody is an admin of this site yet. Its operator can name some with ', h('code', {}, 'coordinator.signIn.oidc.admins'),
      ' or ', h('code', {}, 'coordinator.signIn.oidc.adminClaim'), ', or set ', h('code', {}, 'coordinator.signIn.adminPassword'), '.');
  }
  return h('p', {}, 'Nobody can sign in as an admin yet: there is no default password. The operator of this site can set one as ',
    h('code', {}, 'coordinator.signIn.adminPassword'), '.');
}

/** What the provider said is passed on from here: cookies do not come along from its site. */
async function callback() {
  const query = new URLSearchParams(location.search);
  history.replaceState(null, '', path); // a code is not for the history
  show('Signing in', h('p', {}, 'One moment.'));
  const answer = await ask(path, { code: query.get('code') ?? '', state: query.get('state') ?? '', error: query.get('error') ?? '' });
  const began = memory.get(kept);
  memory.set(kept, null);
  enter(answer.return + (began?.here === answer.return ? began.hash : ''));
}

async function start() {
  const state = await ask('/auth/state');
  const welcome = state.user && (!admins || state.user.role === 'admin');
  if (welcome && path !== '/signin' && path !== '/auth/callback' && !justTried()) return enter(here + hash);
  if (state.user) return signedIn(state);
  const text = admins ? 'This page is for admins.' : state.required ? 'You need to sign in to play here.' : 'Players need not sign in here. Admins can.';
  if (admins && !state.adminPossible) return show('No admins', explain(state));
  if (!state.required && !admins && !state.adminPossible) return show('Sign in', h('p', {}, 'Nobody needs to sign in here. '), explain(state));
  const lost = justTried() && h('p', { class: 'signin-wrong', role: 'alert' }, 'This browser did not keep the sign-in. Allow cookies for this site and try again.');
  show('Sign in', h('p', {}, text), lost, ways(state));
}

async function main() {
  try {
    await (path === '/auth/callback' && location.search ? callback() : start());
  } catch (error) {
    const message = error instanceof Refusal ? error.message : 'Something went wrong on this page.';
    if (!(error instanceof Refusal)) console.error(error);
    show('Not signed in', h('p', { class: 'signin-wrong', role: 'alert' }, message),
      h('div', { class: 'actions' }, h('button', { type: 'button', class: 'button primary', 'data-first': true, onclick: main }, 'Try again')));
  }
}

addEventListener('pageshow', (event) => event.persisted && main());
main();
