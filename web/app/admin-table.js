// A table that is filled anew every two seconds and does not let anybody notice:
// what has not changed is not touched, and focus and scroll stay where they are.

import { h, s } from './dom.js';
import { count, find, page, sort } from './admin-model.js';

const SIZE = 50; // rows of a page
const CALM = 4000; // ms after somebody's last move in which rows do not change places

/** Places as squares: taken, held, free. What it says stands beside it. */
function bar([taken, held, free]) {
  const all = taken + held + free;
  const gap = all <= 16 ? 0.15 : 0;
  const part = (from, n, kind) => (gap ? Array.from({ length: n }, (_, i) => [from + i, 1 - gap]) : [[from, n]])
    .filter(([, width]) => width > 0).map(([x, width]) => s('rect', { class: kind, x, width, y: 0, height: 1 }));
  return s('svg', { class: 'bar', viewBox: `0 0 ${Math.max(all, 1)} 1`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...part(0, taken, 'taken'), ...part(taken, held, 'held'), ...part(taken + held, free, 'free'));
}

const aside = (text) => text && h('span', { class: 'visually-hidden' }, ` ${text} `);

/** What stands in a cell, see columns of admin-model.js. */
function draw(cell) {
  const inner = [aside(cell.before), cell.text, aside(cell.say)];
  let main = h('span', { class: cell.state ? `light ${cell.state}` : cell.faint && 'faint' }, inner);
  if (cell.href) main = h('a', { href: cell.href }, inner);
  if (cell.time) main = h('time', { datetime: cell.time, title: new Date(cell.time).toLocaleString() }, inner);
  return [cell.bar && bar(cell.bar), main, cell.sub && h('small', {}, cell.sub)].filter(Boolean);
}

/** Exchanges what is in a cell if it is something else; focus in it stays in it. */
function fill(td, key, make) {
  if (td.key === key) return;
  const focused = td.contains(document.activeElement);
  td.key = key;
  td.replaceChildren(...make());
  if (focused) td.querySelector('a, button')?.focus({ preventScroll: true });
}

/** One of the three tables. press(action, row) is called for the button of a row. */
export class Table {
  #view;
  #press;
  #by;
  #page = 0;
  #rows = [];
  #context = null;
  #filter = '';
  #lines = new Map();
  #busy = new Set(); // ids whose button was pressed
  #touched = -Infinity;
  #body = h('tbody', { role: 'rowgroup' });
  #heads = new Map();
  #said = h('p', { class: 'found', role: 'status' });
  #pager = h('nav', { class: 'pager', 'aria-label': 'Pages', hidden: true });
  #back = h('button', { type: 'button', class: 'button', onclick: () => this.#turn(-1) }, 'Back');
  #on = h('button', { type: 'button', class: 'button', onclick: () => this.#turn(1) }, 'Next');
  #where = h('span', {});
  #element;

  constructor(view, press) {
    this.#view = view;
    this.#press = press;
    this.#by = view.by;
    const heads = view.columns.map((column) => this.#head(column));
    const table = h('table', { role: 'table', 'aria-label': view.title, 'aria-busy': 'true', tabindex: -1 },
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, heads, h('th', { role: 'columnheader', scope: 'col' }, aside('Action')))), this.#body);
    this.#pager.append(this.#back, this.#where, this.#on);
    this.#element = h('div', { class: `listing ${view.title.toLowerCase()}` }, table, this.#said, this.#pager);
    for (const event of ['pointermove', 'pointerdown', 'keydown', 'focusin']) this.#body.addEventListener(event, () => { this.#touched = performance.now(); });
    this.#mark();
  }

  get element() { return this.#element; }

  /** Shows rows; of those that were there before only what has changed is changed. */
  show(rows, context) {
    this.#rows = rows;
    this.#context = context;
    this.#element.firstChild.removeAttribute('aria-busy');
    this.#paint(performance.now() - this.#touched < CALM);
  }

  filter(text) {
    this.#filter = text;
    this.#page = 0;
    this.#paint();
  }

  /** A button that was pressed says so until what it does is seen. */
  busy(id, yes) {
    if (yes) this.#busy.add(id); else this.#busy.delete(id);
    this.#paint(true);
  }

  #head(column) {
    const button = h('button', { type: 'button', onclick: () => this.#order(column) }, column.label);
    const th = h('th', { role: 'columnheader', scope: 'col', class: column.id }, button);
    this.#heads.set(column.id, th);
    return th;
  }

  #order(column) {
    const down = this.#by.column === column.id ? !this.#by.down : Boolean(column.down);
    this.#by = { column: column.id, down };
    this.#page = 0;
    this.#mark();
    this.#paint();
  }

  #mark() {
    for (const [id, th] of this.#heads) {
      if (id !== this.#by.column) th.removeAttribute('aria-sort');
      else th.setAttribute('aria-sort', this.#by.down ? 'descending' : 'ascending');
    }
  }

  #turn(by) {
    this.#page += by;
    this.#paint();
    this.#element.scrollIntoView({ block: 'start' });
    const [wanted, other] = by < 0 ? [this.#back, this.#on] : [this.#on, this.#back];
    (wanted.disabled ? other : wanted).focus({ preventScroll: true });
  }

  #paint(steady = false) {
    if (!this.#context) return;
    const found = find(this.#view, this.#rows, this.#filter, this.#context);
    const sorted = sort(this.#view, found, this.#by, this.#context);
    const part = page(sorted, this.#page, SIZE, steady ? [...this.#lines.keys()] : []);
    this.#page = part.page;
    this.#place(part.rows);
    this.#say(found.length, part);
  }

  #say(found, { page: at, pages, from, to }) {
    let text = '';
    if (this.#rows.length === 0) text = this.#view.empty;
    else if (found === 0) text = `None of the ${count(this.#rows.length)} has that in it.`;
    else if (found < this.#rows.length) text = `${count(found)} of ${count(this.#rows.length)}`;
    if (this.#said.textContent !== text) this.#said.textContent = text;
    this.#pager.hidden = pages === 1;
    const where = `${count(from)}–${count(to)} of ${count(found)}`;
    if (this.#where.textContent !== where) this.#where.textContent = where;
    this.#back.disabled = at === 0;
    this.#on.disabled = at === pages - 1;
  }

  /** Puts rows into the table, in order. */
  #place(rows) {
    const focused = this.#body.contains(document.activeElement) ? document.activeElement : null;
    const line = focused?.closest('tr');
    const wanted = new Set(rows.map((row) => row.id));
    const after = line && [...this.#body.children].slice(line.rowIndex - 1);
    for (const [id, tr] of this.#lines) if (!wanted.has(id)) tr.remove();
    const lines = new Map();
    let next = this.#body.firstChild;
    for (const row of rows) {
      const tr = this.#lines.get(row.id) ?? this.#line();
      this.#write(tr, row);
      if (tr === next) next = tr.nextSibling;
      else this.#body.insertBefore(tr, next);
      lines.set(row.id, tr);
    }
    this.#lines = lines;
    if (!focused || this.#body.contains(document.activeElement)) return;
    if (focused.isConnected) return focused.focus({ preventScroll: true }); // its row has moved
    const neighbour = after.find((tr) => tr.isConnected)?.querySelector('td:last-child button');
    (neighbour ?? this.#element.firstChild).focus({ preventScroll: true });
  }

  #line() {
    const cells = this.#view.columns.map((column) => h('td', { role: 'cell', class: column.id, 'data-label': column.label }));
    return h('tr', { role: 'row' }, cells, h('td', { role: 'cell', class: 'do' }));
  }

  #write(tr, row) {
    tr.dataset.id = row.id;
    this.#view.columns.forEach((column, i) => {
      const cell = column.cell(row, this.#context);
      fill(tr.children[i], JSON.stringify(cell), () => draw(cell));
    });
    const action = this.#view.action(row);
    const busy = this.#busy.has(row.id);
    const name = this.#view.name(row);
    tr.row = row;
    fill(tr.lastChild, JSON.stringify([action, busy, name]), () => [this.#button(tr, action, busy, name)]);
  }

  #button(tr, action, busy, name) {
    const press = () => !busy && this.#press(action.name, tr.row);
    return h('button', { type: 'button', class: `button ${action.name}`, 'aria-disabled': busy && 'true', onclick: press },
      busy ? 'One moment…' : action.label, h('span', { class: 'visually-hidden' }, ` ${name}`));
  }
}
