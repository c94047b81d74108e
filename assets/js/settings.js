// Method and sampling controls, made from the engine's option specs. The component's value is one JSON text;
// the server checks everything again.

import { add, empty, make } from './dom.js';
import { makeGroup, makeMethodMenu, makeSampling, problemOf } from './fields.js';

/** @param {import('./component').Component} component */
export default function mountSettings(component) {
const { element, props, watch, FIRST, CATALOG } = component;
const catalog = JSON.parse(CATALOG);
const state = Object.assign({ method: '', options: {}, sampling: {} }, JSON.parse(props.value || FIRST));
const root = make('div', 'sv-settings');

function save() { props.value = JSON.stringify(state); }

function makeMethods() {
  const label = make('label', 'sv-field-label', 'Method');
  const select = makeMethodMenu(catalog.methods, state.method, (name) => { state.method = name; save(); draw(); document.getElementById(select.id).focus(); });
  select.id = 'sv-method-select';
  label.htmlFor = select.id;
  return add(make('div', 'sv-method'), label, select);
}

function draw() {
  const method = catalog.methods.find((m) => m.name === state.method) || catalog.methods[0];
  const sampling = makeSampling(root, catalog.sampling, state.sampling, save);
  const about = make('p', 'sv-method-about', method.summary + ' ');
  empty(root);
  add(about, make('span', 'sv-guarantee is-' + method.guarantee, method.guarantee));
  add(root, makeMethods(), about, ...problemOf(method));
  state.options[method.name] = state.options[method.name] || {};
  if (method.options.length) add(root, makeGroup('Method options', method.options, state.options[method.name], window.innerWidth > 820, save));
  add(root, sampling);
}

element.appendChild(root);
draw();
watch('value', () => {
  const next = JSON.parse(props.value || '{}');
  if (JSON.stringify(next) === JSON.stringify(state)) return;
  Object.assign(state, { method: '', options: {}, sampling: {} }, next);
  draw();
});
}
