// What visitors may ask of this instance, in words. Where it has a moderator, a token may be given here; the server compares it.

import { add, make, makeButton, shown } from './dom.js';
import { isModerator, moderateWith } from './visitor.js';

/** @param {import('./component').Component} component */
export default function mountFoot(component) {
const { element, props } = component;
const said = JSON.parse(props.value || '{}');
const foot = make('div', 'sv-foot');
const words = make('p', 'sv-note', shown(said.text || ''));
const form = Object.assign(make('form', 'sv-foot-form'), { hidden: true });
const token = Object.assign(make('input', 'sv-input'), { type: 'password', autocomplete: 'off' });
const way = makeButton('sv-chart-save', '', pressWay);

foot.setAttribute('role', 'contentinfo');
token.setAttribute('aria-label', 'Moderator’s token');
form.addEventListener('submit', (event) => { event.preventDefault(); moderate(token.value.trim()); });
add(form, token, Object.assign(make('button', 'sv-chart-save', 'Moderate'), { type: 'submit' }));
element.appendChild(said.moderator ? add(foot, words, way, form) : add(foot, words));

function pressWay() {
  if (isModerator()) moderate('');
  else { form.hidden = !form.hidden; token.focus(); }
}

function moderate(given) {
  moderateWith(given);
  token.value = '';
  form.hidden = true;
  window.dispatchEvent(new CustomEvent('sv-go')); // the server is greeted anew
  name();
}

function name() { way.textContent = isModerator() ? 'Moderate no longer' : 'Moderator'; }

name();
}
