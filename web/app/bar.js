// The bar over the picture: where one is, who one is, and what one can do.

import { h, replace } from './dom.js';
import { icon, setIcon } from './icons.js';

const SAY = 15000; // ms between announcements of what is wrong

/** What a seat is called. */
export function seatName({ player, seats }) {
  if (!player) return 'Watching';
  return seats > 1 ? `Player ${player} of ${seats}` : `Player ${player}`;
}

function button(name, label, key, onclick, title = key ? `${label} (${key})` : label) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title, onclick }, icon(name));
}

export class Bar {
  #actions;
  #title = h('span', { class: 'name' });
  #system = h('span', { class: 'system' });
  #seatLong = h('span', { class: 'long' });
  #seatShort = h('span', { class: 'short', 'aria-hidden': 'true' });
  #seat;
  #seats;
  #mute;
  #volume;
  #full;
  #touch;
  #save;
  #load;
  #info = { player: 0, seats: 0 };
  #said = -Infinity;
  #element;

  /** @param {object} actions leave, seat(n), mute, volume(v), share, touch, save, load, stats, help, fullscreen */
  constructor(actions) {
    this.#actions = actions;
    this.#seat = h('button', {
      type: 'button', class: 'seat', 'aria-haspopup': 'true', 'aria-expanded': 'false', title: 'Change the seat',
      onclick: () => this.toggleSeats(),
    }, icon('seat'), this.#seatLong, this.#seatShort);
    this.#seats = h('div', { class: 'popover', role: 'group', 'aria-label': 'Seats', hidden: true });
    this.#mute = button('sound', 'Mute', 'M', actions.mute);
    this.#volume = h('input', {
      type: 'range', min: '0', max: '1', step: '0.02', 'aria-label': 'Volume',
      oninput: () => actions.volume(Number(this.#volume.value)),
      onpointerup: () => this.#volume.blur(),
    });
    this.#full = button('full', 'Fullscreen', 'F', actions.fullscreen);
    this.#full.hidden = !document.fullscreenEnabled;
    this.#touch = button('touch', 'Touch pad', '', actions.touch);
    this.#save = button('save', 'Save', 'F2', actions.save);
    this.#load = button('load', 'Load', 'F4', actions.load);
    this.#element = h('header', { class: 'bar' },
      button('back', 'Back to the menu', 'Esc', actions.leave),
      h('div', { class: 'what' }, this.#title, this.#system),
      h('div', { class: 'who' }, this.#seat, this.#seats),
      h('span', { class: 'badge', role: 'status' }),
      h('div', { class: 'sound' }, this.#mute, this.#volume),
      this.#touch, this.#save, this.#load,
      button('share', 'Share the room', '', actions.share, 'Share the room, and who is here'),
      button('stats', 'Statistics', '\\', actions.stats),
      button('help', 'Keys and help', 'H', actions.help),
      this.#full);
    this.#element.addEventListener('click', (event) => this.#unfocus(event));
    this.showInfo(this.#info);
  }

  get element() {
    return this.#element;
  }

  /** Whether the list of seats is open. */
  get open() {
    return !this.#seats.hidden;
  }

  showInfo(info) {
    this.#info = info;
    this.#title.textContent = info.title || '';
    this.#system.textContent = info.systemName || '';
    this.#seat.hidden = !info.seats;
    this.#save.hidden = this.#load.hidden = !info.player;
    this.#load.disabled = !info.saved;
    this.#seatLong.textContent = seatName(info);
    this.#seatShort.textContent = info.player ? `${info.player}/${info.seats}` : '';
    this.#seat.setAttribute('aria-label', `${seatName(info)}, change the seat`);
    setIcon(this.#seat, info.player ? 'seat' : 'eye');
    if (this.open) this.#fillSeats();
  }

  showSound({ muted, volume }) {
    setIcon(this.#mute, muted || volume === 0 ? 'mute' : 'sound');
    this.#mute.setAttribute('aria-pressed', String(muted));
    this.#volume.value = String(muted ? 0 : volume);
    this.#volume.style.setProperty('--value', this.#volume.value);
  }

  showFullscreen(on) {
    setIcon(this.#full, on ? 'unfull' : 'full');
    this.#full.setAttribute('aria-pressed', String(on));
  }

  showTouch({ possible, on }) {
    this.#touch.hidden = !possible;
    this.#touch.setAttribute('aria-pressed', String(on));
  }

  /** A word on the state, '' for none. */
  showBadge(text) {
    const badge = this.#element.querySelector('.badge');
    if (badge.textContent === text) return;
    if (text) { // a bad way is lost again and again: read out now and then
      const due = performance.now() - this.#said > SAY;
      if (due) this.#said = performance.now();
      badge.setAttribute('aria-live', due ? 'polite' : 'off');
    }
    badge.textContent = text;
  }

  toggleSeats(open = !this.open) {
    if (!open && this.#seats.contains(document.activeElement)) this.#seat.focus();
    this.#seats.hidden = !open;
    this.#seat.setAttribute('aria-expanded', String(open));
    if (open) this.#fillSeats();
  }

  #fillSeats() {
    const choose = (n, name, image) => h('button', {
      type: 'button', 'aria-pressed': String(this.#info.player === n),
      onclick: () => {
        this.toggleSeats(false);
        if (n !== this.#info.player) this.#actions.seat(n);
      },
    }, icon(image), name);
    const seats = Array.from({ length: this.#info.seats }, (_, i) => choose(i + 1, `Player ${i + 1}`, 'seat'));
    const { players, viewers } = this.#info;
    replace(this.#seats, ...seats, choose(0, 'Watch', 'eye'),
      players !== undefined && h('small', {}, `${players} playing, ${viewers ?? 0} watching`));
  }

  // After a click the keys belong to the game again; who walks by Tab keeps the focus.
  #unfocus(event) {
    const target = event.target.closest('button');
    if (target && event.detail > 0) target.blur();
  }
}
