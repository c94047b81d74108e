// A model of the visitor's own: what it needs, loading it, and the last ones, which only this browser remembers.

import { makeFold } from './conversation.js';
import { add, make, makeButton, shown, tell } from './dom.js';
import { makeField } from './fields.js';

const ownAsked = new WeakMap(); // by its root what stands in a form, which is drawn anew now and then
const RECENT_KEY = 'specviz-models', MOST_RECENT = 6, LOOK_AFTER_MS = 500;

function recentModels() {
  try {
    const kept = JSON.parse(localStorage.getItem(RECENT_KEY) || '[]');
    return Array.isArray(kept) ? kept.filter((one) => one && typeof one.model === 'string').slice(0, MOST_RECENT) : [];
  } catch (error) { return []; }
}

function keepModels(models) {
  try { localStorage.setItem(RECENT_KEY, JSON.stringify(models.slice(0, MOST_RECENT))); } catch (error) { /* then they are forgotten */ }
}

export function rememberModel(asked) { keepModels([asked, ...recentModels().filter((one) => one.model !== asked.model)]); }

function forgetModel(name) { keepModels(recentModels().filter((one) => one.model !== name)); }

// A form's settings as the server gives them back, its `state` drawn anew where they are others; a model that was just loaded
// is remembered. `makeEmpty`: the settings of a form that says nothing.
export function watchValue(component, state, makeEmpty, draw) {
  component.watch('value', () => {
    const { loaded, ...next } = JSON.parse(component.props.value || '{}');
    if (loaded) rememberModel(next.loading);
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    for (const name of Object.keys(state)) delete state[name];
    Object.assign(state, makeEmpty(), next);
    draw();
  });
}

// `needs`: asks the server what a model would need; `load`: loads it and chooses it.
export function makeOwnModel(root, specs, state, needs, load, draw) {
  const { fold } = makeFold(root, 'own', 'Your own model', () => '', 'hub id, folder or GGUF file');
  if (!ownAsked.has(root)) ownAsked.set(root, {});
  const asked = ownAsked.get(root);
  if (!asked.model) Object.assign(asked, state.loading);
  const told = Object.assign(make('p', 'sv-needs'), { hidden: true });
  let timer = 0, turn = 0;
  told.setAttribute('role', 'status');

  async function look() {
    const mine = ++turn;
    if (!(asked.model || '').trim()) { tell(told, ''); return; }
    tell(told, 'Looking …');
    const answer = JSON.parse(await needs(asked).catch(() => '{"text": "The server does not answer; please try again.", "fits": false}'));
    if (mine !== turn) return;
    tell(told, shown(answer.text));
    told.classList.toggle('is-bad', !answer.fits);
  }

  const lookSoon = () => { clearTimeout(timer); timer = setTimeout(look, LOOK_AFTER_MS); };
  const name = makeField({ name: 'own_model', label: 'Model', type: 'str', choices: [], default: asked.model || '', help: 'A hub id, a folder of safetensors, folder/file.gguf or hub-id:file.gguf.', range: '' }, {}, () => {});
  name.querySelector('input').addEventListener('input', (event) => { asked.model = event.target.value; lookSoon(); });
  const button = makeButton('sv-button', 'Load', () => { if ((asked.model || '').trim()) load({ ...asked, model: asked.model.trim() }); else name.querySelector('input').focus(); });
  const fields = add(make('div', 'sv-fields'), ...specs.map((spec) => makeField(spec, asked, lookSoon)));
  add(fold, add(make('div', 'sv-form-body'), name, fields, told, add(make('div', 'sv-fold-buttons'), button), makeRecent((one) => { for (const key of Object.keys(asked)) delete asked[key]; Object.assign(asked, one); draw(); }, draw)));
  look();
  return fold;
}

function makeRecent(choose, draw) {
  const list = make('ul', 'sv-recent');
  list.setAttribute('aria-label', 'Models loaded before in this browser');
  for (const one of recentModels()) {
    const item = make('li', ''), more = ['draft', 'dtype', 'device'].filter((name) => one[name] && one[name] !== 'auto').map((name) => one[name]);
    const forget = makeButton('sv-lane-remove', '×', () => { forgetModel(one.model); draw(); });
    forget.setAttribute('aria-label', 'Forget ' + shown(one.model));
    add(list, add(item, makeButton('sv-open', shown(one.model), () => choose(one)), make('span', 'sv-fold-about', more.map((text) => shown(text)).join(', ')), forget));
  }
  list.hidden = !list.firstChild;
  return list;
}
