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
  for (const choice of spec.choices) add(select, makeOption(choice, choice.replace(/_/g, ' ')));
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
  return [input];
}

function makeField(spec, values, save) {
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
  add(row, add(make('div', 'sv-field-head'), label, tooltip(spec.label, { text: spec.help + ' ' + spec.range })), add(make('div', 'sv-field-inputs'), ...inputs));
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
