// Example prompts by task, those of the chosen model's kind. A press reports the example's place; the server answers
// with its text.

import { add, make, makeButton } from './dom.js';

/** @param {import('./component').Component} component */
export default function mountChips(component) {
const { element, props, watch, trigger, MENUS, FIRST } = component;
const menus = JSON.parse(MENUS);
const chips = make('div', 'sv-chips');
element.appendChild(chips);

function makeRow(task) {
  const row = make('div', 'sv-chip-row');
  row.setAttribute('role', 'group');
  row.setAttribute('aria-label', task.task);
  add(row, make('span', 'sv-chip-task', task.task));
  for (const example of task.examples) {
    row.appendChild(makeButton('sv-chip', example.title, () => trigger('pick', { example: example.id })));
  }
  return row;
}

function show() { chips.replaceChildren(...(menus[props.value || FIRST] || []).map(makeRow)); }

watch('value', show);
show();
}
