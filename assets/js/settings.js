// Method, sampling and conversation controls, made from the engine's option specs. The component's value is one JSON text;
// the server checks everything again.

import { makeConversation, makeStopping } from './conversation.js';
import { add, make } from './dom.js';
import { followFallback, makeGroup, makeMethodMenu, makeSampling, methodSpecs, problemOf, watchCatalog } from './fields.js';
import { makeOwnModel, watchValue } from './ownmodel.js';

/** @param {import('./component').Component} component */
export default function mountSettings(component) {
const { element, props, server, trigger, FIRST, CATALOG } = component;
let catalog = JSON.parse(CATALOG);
const EMPTY = () => ({ method: '', options: {}, sampling: {} });
const state = Object.assign(EMPTY(), JSON.parse(props.value || FIRST));
const root = make('div', 'sv-settings');

function save() { props.value = JSON.stringify(state); }

function makeMethods() {
  const label = make('label', 'sv-field-label', 'Method');
  const select = makeMethodMenu(catalog.methods, state.method, (name) => { state.method = name; save(); draw(); document.getElementById(select.id).focus(); });
  select.id = 'sv-method-select';
  label.htmlFor = select.id;
  return add(make('div', 'sv-method'), label, select);
}

function makeOptions(method) {
  const values = state.options[method.name];
  const old = root.querySelector('.sv-group.is-options');
  const follow = followFallback(method, values, () => { draw(); root.querySelector('[name=fallback]')?.focus(); });
  const group = makeGroup('Method options', methodSpecs(catalog, method, values), values, old ? old.open : window.innerWidth > 820, () => { save(); follow(); save(); });
  group.classList.add('is-options');
  return group;
}

// Loading goes on in the device's turn; its progress stands where a run's would.
function makeOwn() { return makeOwnModel(root, catalog.loading, state, (asked) => server.needs(asked), (asked) => trigger('load_own', asked), draw); }

function draw() {
  const method = catalog.methods.find((m) => m.name === state.method) || catalog.methods[0];
  const about = make('p', 'sv-method-about', method.summary + ' ');
  state.options[method.name] = state.options[method.name] || {};
  add(about, make('span', 'sv-guarantee is-' + method.guarantee, method.guarantee));
  const parts = catalog.loading && catalog.loading.length ? [makeOwn()] : [];
  parts.push(makeMethods(), about, ...problemOf(method));
  if (method.options.length) parts.push(makeOptions(method));
  parts.push(makeSampling(root, catalog.sampling, state.sampling, save));
  if (catalog.conversation) parts.push(makeConversation(root, catalog, state, save, draw, () => trigger('read_prompt', {})), makeStopping(root, catalog, state, save));
  root.replaceChildren(...parts);
}

element.appendChild(root);
draw();
watchValue(component, state, EMPTY, draw);
watchCatalog(element, (next) => { catalog = next; draw(); });
}
