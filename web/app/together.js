// The panel of those who play together: links into the room, and who is in it.
// What only the host may do is shown to the host alone; the worker checks it.

import { h, replace } from './dom.js';
import { icon } from './icons.js';
import { nameOf } from './company.js';
import { shareLink } from './route.js';

const SURE = 4000; // ms in which a removal is to be confirmed

const times = Object.freeze([[3600, '1 hour'], [86400, '1 day'], [604800, '1 week']]);

/** What an invitation is good for. Pure. */
export function describe({ player, watch, single }) {
  const what = watch ? 'Watch' : player ? `Player ${player}` : 'Play, any free seat';
  return single ? `${what}, one person` : what;
}

const spent = (one) => one.single && one.used;

/** Until when, in the words of this place. */
export function until(seconds, now = Date.now()) {
  const day = new Date(seconds * 1000);
  const options = seconds * 1000 - now < 20 * 3600e3 ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' };
  return `until ${day.toLocaleString(undefined, options)}`;
}

const button = (label, key, onclick, more = {}) => h('button', { type: 'button', class: 'button small', 'data-key': key, onclick, ...more }, label);

const choice = (label, options) => {
  const select = h('select', {}, ...options.map(([value, text]) => h('option', { value }, text)));
  return [select, h('label', {}, h('span', {}, label), select)];
};

export class Together {
  #session;
  #actions;
  #links = new Map(); // of invitations that were made here, by their id
  #made = null; // the id of the invitation whose link is shown
  #sure = '';
  #door = h('div', { class: 'door' });
  #make = h('form', { class: 'make' });
  #invites = h('details', {}, h('summary', { class: 'button small', 'data-key': 'invite' }, 'Make an invitation'), this.#make);
  #link = h('div', { class: 'link', hidden: true });
  #list = h('ul', { class: 'rows', 'aria-label': 'Invitations' });
  #people = h('ul', { class: 'rows', 'aria-label': 'People' });
  #count = h('h2', {});
  #element;

  /**
   * @param {import('./session.js').Session} session
   * @param {object} actions close(), give(link) shares or copies it, origin(), note(text, kind)
   */
  constructor(session, actions) {
    this.#session = session;
    this.#actions = actions;
    this.#form();
    this.#element = h('div', { class: 'panel together', role: 'dialog', tabindex: '-1', 'aria-label': 'Play together', onkeydown: (event) => this.#key(event) },
      h('h2', {}, 'Play together'), this.#door, this.#invites, this.#link, this.#list, this.#count, this.#people,
      h('div', { class: 'actions' }, h('button', { type: 'button', class: 'button primary', 'data-key': 'done', onclick: () => actions.close() }, 'Done')));
    this.update();
  }

  get element() {
    return this.#element;
  }

  /** Shows what is known now. */
  update() {
    const key = document.activeElement?.dataset?.key;
    const { company, info } = this.#session;
    this.#invites.hidden = !company.host;
    this.#list.hidden = !company.host || company.invitations.length === 0;
    if (this.#make.dataset.seats !== String(info.seats)) this.#form();
    replace(this.#door, ...this.#doorRows(company));
    this.#stale(company);
    replace(this.#list, ...company.invitations.map((one) => this.#invitation(one)));
    this.#count.textContent = company.members.length > 1 ? `${company.members.length} people here` : 'Nobody else is here yet';
    replace(this.#people, ...company.members.map((one) => this.#member(one, company)));
    if (key && !document.activeElement?.dataset?.key) this.#element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }

  #key(event) {
    if (event.code !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation();
    this.#actions.close();
  }

  #say(message) {
    if (!this.#session.sendControl(message)) this.#actions.note('There is no connection to the game at the moment.', 'error');
  }

  #doorRows({ host, closed }) {
    const link = shareLink(this.#actions.origin(), this.#session.info.room);
    const open = [
      h('p', {}, host ? 'The room is open: whoever has its link may come in and take a free seat.' : 'Whoever has this link may come in and take a free seat.'),
      ...this.#copy(link, 'Link to the room', 'quick'),
    ];
    const shut = [h('p', {}, host ? 'By invitation only: nobody comes in by the plain link.' : 'This room is by invitation only. Its host can invite somebody.')];
    const toggle = h('button', {
      type: 'button', class: 'switch', role: 'switch', 'aria-checked': String(!closed), 'data-key': 'door',
      onclick: () => this.#say({ type: 'door', closed: !closed }),
    }, h('span', { class: 'knob', 'aria-hidden': 'true' }), 'Door open to everybody with the link');
    return [...(closed ? shut : open), host && toggle];
  }

  #copy(link, label, key) {
    return [h('div', { class: 'copy' },
      h('input', { type: 'text', readonly: true, value: link, 'aria-label': label, 'data-key': `${key}-text`, onfocus: (event) => event.target.select() }),
      button('Copy', key, () => this.#actions.give(link)))];
  }

  #form() {
    const seats = this.#session.info.seats;
    this.#make.dataset.seats = String(seats);
    const who = [['', 'Play, any free seat'], ...Array.from({ length: seats }, (_, i) => [i + 1, `Play as player ${i + 1}`]), ['watch', 'Watch only']];
    const [what, whatLabel] = choice('To', who);
    const [time, timeLabel] = choice('Good for', times);
    time.value = '86400';
    const single = h('input', { type: 'checkbox' });
    this.#make.onsubmit = (event) => {
      event.preventDefault();
      const watch = what.value === 'watch';
      this.#invite({ player: watch ? 0 : Number(what.value), watch, single: single.checked, seconds: Number(time.value) });
    };
    replace(this.#make, whatLabel, timeLabel,
      h('label', { class: 'check' }, single, 'For one person only'),
      h('button', { type: 'submit', class: 'button small', 'data-key': 'make' }, 'Make a link'),
      h('small', {}, 'An invitation for a seat, for watching or for one person closes the door to the plain link.'));
  }

  async #invite(wish) {
    try {
      const { id, token } = await this.#session.ask({ type: 'invite', ...wish });
      const link = shareLink(this.#actions.origin(), this.#session.info.room, String(token));
      this.#links.set(id, link);
      replace(this.#link, h('p', { role: 'status' }, `${describe(wish)}: send this link.`), ...this.#copy(link, 'Link of the invitation', 'made'));
      this.#link.hidden = false;
      this.#made = { id, listed: false };
      this.#invites.open = false;
      this.#link.querySelector('button').focus();
      this.update();
    } catch (error) {
      this.#actions.note(error.message, 'error');
    }
  }

  // A link that leads nowhere any more is not to be sent.
  #stale({ host, invitations }) {
    if (!this.#made) return;
    const one = invitations.find(({ id }) => id === this.#made.id);
    this.#made.listed ||= Boolean(one);
    if (host && (one ? !spent(one) : !this.#made.listed)) return;
    this.#made = null;
    this.#link.hidden = true;
  }

  #invitation(one) {
    const link = this.#links.get(one.id);
    const state = spent(one) ? 'used' : until(one.expires) + (one.used ? ', in use' : '');
    return h('li', { class: spent(one) ? 'off' : '' },
      h('span', { class: 'grow' }, h('strong', {}, describe(one)), h('small', {}, state)),
      link && !spent(one) && button('Copy', `copy-${one.id}`, () => this.#actions.give(link)),
      button('Take back', `revoke-${one.id}`, () => this.#say({ type: 'revoke', id: one.id }), { 'aria-label': `Take back: ${describe(one)}` }));
  }

  #member(m, { you, host }) {
    const name = nameOf(m);
    const marks = [m.player ? `Player ${m.player}` : 'watching', m.host && 'host', m.id === you && 'you', m.muted && 'muted', m.away && 'away'].filter(Boolean);
    return h('li', { class: m.away ? 'off' : '', 'data-member': m.id },
      icon(m.player ? 'seat' : 'eye'),
      h('span', { class: 'grow' }, h('strong', {}, name), h('small', {}, marks.join(' · '))),
      host && m.id !== you && h('span', { class: 'powers' }, ...this.#powers(m, name)));
  }

  #powers(m, name) {
    const sure = this.#sure === m.id;
    return [
      m.player > 0 && button(m.muted ? 'Unmute' : 'Mute', `mute-${m.id}`, () => this.#say({ type: 'mute', member: m.id, on: !m.muted }),
        { 'aria-label': `${m.muted ? 'Unmute' : 'Mute'} ${name}`, title: 'Whether their buttons count' }),
      !m.away && button('Make host', `host-${m.id}`, () => this.#say({ type: 'host', member: m.id }), { 'aria-label': `Make ${name} the host` }),
      button(sure ? 'Really remove' : 'Remove', `remove-${m.id}`, () => this.#remove(m.id), { 'aria-label': `${sure ? 'Really remove' : 'Remove'} ${name}`, class: sure ? 'button small danger' : 'button small' }),
    ];
  }

  #remove(id) {
    const sure = this.#sure === id;
    this.#sure = sure ? '' : id;
    if (sure) this.#say({ type: 'remove', member: id });
    else setTimeout(() => this.#calm(id), SURE);
    this.update();
  }

  #calm(id) {
    if (this.#sure !== id) return;
    this.#sure = '';
    this.update();
  }
}
