// Controls made from the engine's option specs; each change goes into `values`, then `save` is called. The server checks
// everything again.

import { add, make, makeOption } from './dom.js';
import { tooltip } from './tooltip.js';

const fieldPrefix = 'sv-option-' + Math.random().toString(36).slice(2, 8) + '-';
let fieldCount = 0;

function isSlider(spec) {
  if (spec.low === null || spec.high === null) return false;
  return spec.type === 'float' ? spec.high - spec.low <= 10 : spec.high - spec.low <= 256;
}

function stepOf(spec) { return spec.type === 'float' ? '0.05' : '1'; }

function makeSelect(spec, value, change) {
  const select = make('select', 'sv-input');
  for (const choice of spec.choices) {
    const problem = (spec.problems || {})[choice], option = makeOption(choice, choice.replace(/_/g, ' ') + (problem ? ' (cannot run here)' : ''));
    option.disabled = Boolean(problem) && choice !== value;
    add(select, option);
  }
  select.value = value;
  select.addEventListener('change', () => change(select.value));
  return [select];
}

function makeCheckbox(spec, value, change) {
  const box = make('input', 'sv-check');
  box.type = 'checkbox';
  box.checked = value === true || value === 'true';
  box.addEventListener('change', () => change(box.checked));
  return [box];
}

function makeNumber(spec, value, change) {
  const input = make('input', 'sv-input sv-number');
  input.type = 'text';
  input.inputMode = spec.type === 'int' ? 'numeric' : 'decimal';
  input.value = value;
  const check = () => {
    const isGood = input.value.trim() !== '' && Number(input.value) >= (spec.low ?? -Infinity) && Number(input.value) <= (spec.high ?? Infinity);
    input.setAttribute('aria-invalid', String(!isGood));
  };
  input.addEventListener('input', () => { check(); change(input.value); });
  if (!isSlider(spec)) return [input];
  const slider = make('input', 'sv-range');
  Object.assign(slider, { type: 'range', min: spec.low, max: spec.high, step: stepOf(spec), tabIndex: -1 });
  slider.value = value;
  slider.setAttribute('aria-hidden', 'true');
  slider.addEventListener('input', () => { input.value = slider.value; check(); change(slider.value); });
  input.addEventListener('input', () => { slider.value = input.value; });
  return [slider, input];
}

function makeText(spec, value, change) {
  const input = make('input', 'sv-input');
  input.type = 'text';
  input.value = value;
  input.addEventListener('input', () => change(input.value));
  if (!(spec.suggestions || []).length) return [input];
  const known = add(make('datalist', ''), ...spec.suggestions.map((name) => makeOption(name, name)));
  known.id = fieldPrefix + 'known-' + ++fieldCount;
  input.setAttribute('list', known.id);
  return [known, input];
}

// Why some of an option's choices cannot be chosen here.
function reasons(spec) { return Object.values(spec.problems || {}).map((reason) => ' ' + reason).join(''); }

export function makeField(spec, values, save) {
  const id = fieldPrefix + ++fieldCount;
  const row = make('div', 'sv-field is-' + spec.type);
  const label = make('label', 'sv-field-label', spec.label);
  const value = spec.name in values ? values[spec.name] : spec.default;
  const change = (next) => { values[spec.name] = next; save(); };
  const maker = spec.choices.length ? makeSelect : spec.type === 'bool' ? makeCheckbox : spec.type === 'str' ? makeText : makeNumber;
  const inputs = maker(spec, value, change);
  const main = inputs[inputs.length - 1];
  main.id = id;
  main.name = spec.name;
  label.htmlFor = id;
  if (spec.unit && !spec.label.toLowerCase().includes(spec.unit)) label.appendChild(make('span', 'sv-unit', spec.unit));
  add(row, add(make('div', 'sv-field-head'), label, tooltip(spec.label, { text: spec.help + ' ' + spec.range + reasons(spec) })), add(make('div', 'sv-field-inputs'), ...inputs));
  return row;
}

export function makeGroup(title, specs, values, isOpen, save) {
  const group = make('details', 'sv-group');
  group.open = isOpen;
  add(group, make('summary', '', title));
  const fields = make('div', 'sv-fields');
  for (const spec of specs) fields.appendChild(makeField(spec, values, save));
  return add(group, fields);
}

function fallbackOf(method) { return method.options.find((spec) => spec.kind === 'method'); }

// A method's options, and those of the method that is chosen as its fallback.
export function methodSpecs(catalog, method, values) {
  const fallback = fallbackOf(method), second = fallback && catalog.methods.find((other) => other.name === values[fallback.name]);
  const more = second ? second.options.filter((spec) => spec.kind !== 'method') : [];
  return [...method.options, ...more.map((spec) => ({ ...spec, name: fallback.name + '.' + spec.name, label: second.title + ': ' + spec.label.toLowerCase() }))];
}

// For each change of an option: another fallback has other options, so those of the last one go and `draw` is called.
export function followFallback(method, values, draw) {
  const fallback = fallbackOf(method), before = fallback && values[fallback.name];
  return () => {
    if (!fallback || values[fallback.name] === before) return;
    for (const name of Object.keys(values)) if (name.startsWith(fallback.name + '.')) delete values[name];
    draw();
  };
}

// Another model was chosen or loaded: what can run on it is another matter.
export function watchCatalog(element, take) {
  window.addEventListener('sv-catalog', (event) => {
    const { form, catalog } = /** @type {CustomEvent} */ (event).detail;
    if (element.closest('[id]')?.id === form) take(catalog);
  });
}

// What is chosen beside a method; stays open or folded when the controls are drawn anew.
export function makeSampling(root, specs, values, save) {
  const old = root.querySelector('.sv-group.is-sampling');
  const group = makeGroup('Sampling', specs, values, old ? old.open : window.innerWidth > 820, save);
  group.classList.add('is-sampling');
  return group;
}

// The methods to choose from. One that cannot run here may be chosen all the same: `problemOf` says why not.
export function makeMethodMenu(methods, chosen, onChange) {
  const select = make('select', 'sv-input');
  for (const method of methods) add(select, makeOption(method.name, method.title + (method.problem ? ' (cannot run here)' : '')));
  select.value = chosen;
  select.addEventListener('change', () => onChange(select.value));
  return select;
}

export function problemOf(method) { return method.problem ? [make('p', 'sv-method-problem', method.problem)] : []; }
