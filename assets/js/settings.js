// Method and sampling controls, made from the engine's option specs. The component's value is one JSON text;
// the server checks everything again.

const catalog = JSON.parse(CATALOG);
const state = Object.assign({ method: '', options: {}, sampling: {} }, JSON.parse(props.value || FIRST));
const root = make('div', 'sv-settings');
const isWide = window.innerWidth > 820;

function save() { props.value = JSON.stringify(state); }

function makeMethods() {
  const holder = make('div', 'sv-method');
  const label = make('label', 'sv-field-label', 'Method');
  const select = make('select', 'sv-input');
  select.id = 'sv-method-select';
  label.htmlFor = select.id;
  for (const method of catalog.methods) add(select, Object.assign(make('option', '', method.title), { value: method.name }));
  select.value = state.method;
  select.addEventListener('change', () => { state.method = select.value; save(); draw(); document.getElementById(select.id).focus(); });
  return add(holder, label, select);
}

function draw() {
  const method = catalog.methods.find((m) => m.name === state.method) || catalog.methods[0];
  const samplingWasOpen = root.querySelector('.sv-group.is-sampling')?.open ?? isWide;
  empty(root);
  const about = make('p', 'sv-method-about', method.summary + ' ');
  add(about, make('span', 'sv-guarantee is-' + method.guarantee, method.guarantee));
  add(root, makeMethods(), about);
  state.options[method.name] = state.options[method.name] || {};
  if (method.options.length) add(root, makeGroup('Method options', method.options, state.options[method.name], isWide, save));
  const sampling = makeGroup('Sampling', catalog.sampling, state.sampling, samplingWasOpen, save);
  sampling.classList.add('is-sampling');
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
