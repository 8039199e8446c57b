// A question before something that cannot be undone.

import { h } from './dom.js';

const LONGEST = 200; // characters of a reason

/**
 * Asks, and answers the reason that was given, '' for none, or null if nothing
 * is to be done. The focus goes back to where it was.
 */
export function question({ title, text, label, told }) {
  const input = h('input', { id: 'reason', type: 'text', maxlength: LONGEST, autocomplete: 'off', 'aria-describedby': 'told' });
  const keep = h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Cancel');
  const form = h('form', {},
    h('h2', { id: 'question' }, title), h('p', { id: 'why' }, text),
    h('label', { for: 'reason' }, 'Reason', h('small', {}, ' (may be empty)')), input,
    h('p', { id: 'told', class: 'told' }, told),
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'button danger' }, label), keep));
  const dialog = h('dialog', { class: 'panel', 'data-code': 'question', 'aria-labelledby': 'question', 'aria-describedby': 'why' }, form);
  return new Promise((resolve) => {
    let answer = null;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      answer = input.value.trim();
      dialog.close();
    });
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
