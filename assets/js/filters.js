// The conditions of the list: a search field, menus of what there is, days. `onChange(conditions)` after each change.

import { add, empty, make, makeOption, shown } from './dom.js';

export const MENUS = [
  ['method', 'Method'], ['model', 'Model'], ['task', 'Task'], ['sampling', 'Sampling', ['greedy', 'sampled']],
  ['status', 'Status', ['finished', 'stopped', 'failed', 'interrupted', 'running']], ['tag', 'Tag'], ['origin', 'Origin', ['measured', 'imported']],
];
const DAYS = [['since', 'From'], ['until', 'To']];
const TYPING_MS = 250;

export function makeFilters(onChange) {
  const node = make('form', 'sv-filters');
  const fields = {};
  const clear = make('button', 'sv-button', 'Clear');
  let timer = 0;
  node.setAttribute('role', 'search');
  node.setAttribute('aria-label', 'Saved runs');

  function field(name, label, input) {
    const box = make('label', 'sv-filter is-' + name);
    fields[name] = input;
    input.name = name;
    return add(box, make('span', 'sv-filter-label', label), input);
  }

  const search = Object.assign(make('input', 'sv-input'), { type: 'search', placeholder: 'Conversation, text, note or id', maxLength: 200 });
  add(node, field('search', 'Search', search));
  for (const [name, label, words] of MENUS) {
    const menu = add(make('select', 'sv-input'), makeOption('', 'all'));
    for (const word of words || []) add(menu, makeOption(word, word));
    add(node, field(name, label, menu));
  }
  for (const [name, label] of DAYS) add(node, field(name, label, Object.assign(make('input', 'sv-input'), { type: 'date' })));
  const mine = Object.assign(make('input', 'sv-check'), { type: 'checkbox' });
  add(node, field('mine', 'Mine', mine));
  mine.title = 'Only runs that this browser made';
  clear.type = 'reset';
  add(node, clear);

  function conditions() {
    const found = {};
    for (const [name, input] of Object.entries(fields)) if (input !== mine && input.value.trim()) found[name] = input.value;
    if (mine.checked) found.mine = true;
    return found;
  }

  function changed() {
    window.clearTimeout(timer);
    clear.disabled = !Object.keys(conditions()).length;
    onChange(conditions());
  }

  node.addEventListener('submit', (event) => { event.preventDefault(); changed(); });
  node.addEventListener('reset', () => window.setTimeout(changed));
  node.addEventListener('change', changed);
  search.addEventListener('input', () => { window.clearTimeout(timer); timer = window.setTimeout(changed, TYPING_MS); });
  clear.disabled = true;

  // The values that runs have; a chosen one stays although no run has it any more.
  function offer(known) {
    for (const [name, values] of Object.entries(known)) {
      const menu = fields[name];
      const chosen = menu.value;
      empty(menu);
      add(menu, makeOption('', 'all'));
      for (const value of new Set(chosen ? [...values, chosen].sort() : values)) add(menu, makeOption(value, shown(value)));
      menu.value = chosen;
    }
  }

  // Set conditions from elsewhere; asks nobody.
  function set(wanted) {
    for (const [name, input] of Object.entries(fields)) {
      const value = wanted[name] || '';
      if (value && input.tagName === 'SELECT' && ![...input.options].some((known) => known.value === value)) add(input, makeOption(value, shown(value)));
      if (input === mine) mine.checked = wanted.mine === true;
      else input.value = value;
    }
    clear.disabled = !Object.keys(conditions()).length;
  }

  return { node, offer, set, reset: () => node.reset() };
}
