// Who races: one row a lane, plain decoding first and always. The component's value is one JSON text; the server checks
// everything again.

import { makeConversation, makeStopping } from './conversation.js';
import { add, empty, make, makeButton } from './dom.js';
import { methodStyles } from './drawings.js';
import { followFallback, makeGroup, makeMethodMenu, makeSampling, methodSpecs, problemOf, watchCatalog } from './fields.js';
import { makeOwnModel, watchValue } from './ownmodel.js';
import { makeSwatch } from './swatch.js';

/** @param {import('./component').Component} component */
export default function mountContenders(component) {
const { element, props, server, trigger, FIRST, CATALOG } = component;
const MOST_LANES = 8;
let catalog = JSON.parse(CATALOG);
const EMPTY = () => ({ lanes: [], sampling: {} });
const state = Object.assign(EMPTY(), JSON.parse(props.value || FIRST));
const root = make('div', 'sv-settings sv-contenders');
const opened = new WeakSet(); // lanes whose options are open

function save() { props.value = JSON.stringify(state); }

function keyOf(index) { return index ? 'lane ' + index : 'plain'; }

function stylesNow() { return methodStyles(state.lanes.map((_, index) => keyOf(index))); }

function options(lane, method) {
  const follow = followFallback(method, lane.options, change), isOpen = opened.has(lane);
  const group = makeGroup('Options', methodSpecs(catalog, method, lane.options), lane.options, isOpen, () => { save(); follow(); save(); });
  group.addEventListener('toggle', () => (group.open ? opened.add(lane) : opened.delete(lane)));
  group.classList.add('is-lane');
  return group;
}

function remover(index, title) {
  const button = makeButton('sv-lane-remove', '×');
  button.setAttribute('aria-label', 'Remove lane ' + (index + 1) + ', ' + title);
  button.addEventListener('click', () => {
    state.lanes.splice(index, 1);
    change();
    (root.querySelectorAll('.sv-lane-row .sv-lane-remove')[Math.max(0, index - 2)] || root.querySelector('.sv-lane-add')).focus();
  });
  return button;
}

function chooser(lane, index) {
  const others = catalog.methods.filter((method) => method.name !== 'plain');
  const select = makeMethodMenu(others, lane.method, (name) => {
    Object.assign(lane, { method: name, options: {} });
    change();
    root.querySelectorAll('.sv-lane-row select.sv-input')[index - 1].focus();
  });
  select.setAttribute('aria-label', 'Method of lane ' + (index + 1));
  return select;
}

function row(lane, index) {
  const method = catalog.methods.find((known) => known.name === lane.method) || catalog.methods[0];
  const node = make('li', 'sv-lane-row');
  const line = make('div', 'sv-lane-line');
  add(line, makeSwatch(stylesNow()[keyOf(index)]));
  if (index === 0) add(line, make('span', 'sv-lane-fixed', method.title), make('span', 'sv-lane-note', 'always measured'));
  else add(line, chooser(lane, index), remover(index, method.title));
  add(node, line, ...problemOf(method));
  if (index > 0 && method.options.length) add(node, options(lane, method));
  return node;
}

function addLane() {
  const used = new Set(state.lanes.map((lane) => lane.method));
  const next = catalog.methods.find((method) => !used.has(method.name)) || catalog.methods[catalog.methods.length - 1];
  state.lanes.push({ method: next.name, options: {} });
  change();
  [...root.querySelectorAll('.sv-lane-row select')].pop()?.focus();
}

function change() { save(); draw(); }

// Loading goes on in the device's turn; its progress stands where a race's would.
function makeOwn() { return makeOwnModel(root, catalog.loading, state, (asked) => server.needs(asked), (asked) => trigger('load_own', asked), draw); }

function draw() {
  const own = catalog.loading && catalog.loading.length ? [makeOwn()] : [];
  const folds = [makeSampling(root, catalog.sampling, state.sampling, save)];
  if (catalog.conversation) folds.push(makeConversation(root, catalog, state, save, draw), makeStopping(root, catalog, state, save));
  empty(root);
  const list = make('ul', 'sv-lane-rows');
  const more = makeButton('sv-lane-add', state.lanes.length < MOST_LANES ? 'Add a method' : 'Eight lanes are the most', addLane);
  list.setAttribute('aria-label', 'Methods that race');
  state.lanes.forEach((lane, index) => add(list, row(lane, index)));
  more.disabled = state.lanes.length >= MOST_LANES;
  add(root, ...own, make('p', 'sv-field-label', 'Methods'), list, more, ...folds);
}

element.appendChild(root);
draw();
watchValue(component, state, EMPTY, draw);
watchCatalog(element, (next) => { catalog = next; draw(); });
}
