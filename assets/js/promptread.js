// The prompt as the chosen model would read it; nothing until it is asked for.

import { add, make, makeAlert, makeButton, shown, tell } from './dom.js';
import { makeTokenList } from './tokenlist.js';

/** @param {import('./component').Component} component */
export default function mountPromptRead(component) {
const { element, props, watch } = component;
const root = Object.assign(make('section', 'sv-prompt-read'), { hidden: true });
const alertBox = makeAlert();
const title = make('span', 'sv-field-label');
const body = make('div', '');

function show() {
  const told = JSON.parse(props.value || '{}');
  root.hidden = !told.ids && !told.alert;
  tell(alertBox, told.alert && shown(told.alert));
  title.textContent = told.ids ? told.ids.length + (told.ids.length === 1 ? ' token' : ' tokens') + ' as ' + shown(told.model) + ' reads them' : '';
  body.replaceChildren(...(told.ids ? [makeTokenList(told.ids, told.texts)] : []));
  if (!root.hidden) root.scrollIntoView({ block: 'nearest' });
}

const close = makeButton('sv-lane-remove', '×', () => { root.hidden = true; });
close.setAttribute('aria-label', 'Hide the tokens');
add(element, add(root, add(make('div', 'sv-field-head'), title, close), alertBox, body));
watch('value', show);
show();
}
