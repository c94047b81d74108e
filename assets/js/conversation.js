// What is said around the prompt: a system prompt, earlier turns, the chat template or none, thinking; and when the run ends.

import { add, make, makeButton } from './dom.js';
import { makeField } from './fields.js';

function splitMessages(messages) {
  const hasSystem = messages.length > 0 && messages[0].role === 'system';
  const rest = messages.slice(hasSystem ? 1 : 0), turns = [];
  for (let i = 0; i < rest.length; i += 2) turns.push([rest[i].content, i + 1 < rest.length ? rest[i + 1].content : '']);
  return { system: hasSystem ? messages[0].content : '', turns };
}

function joinMessages(system, turns) {
  const said = turns.flatMap(([asked, answered]) => [{ role: 'user', content: asked }, { role: 'assistant', content: answered }]);
  return system.trim() ? [{ role: 'system', content: system }, ...said] : said;
}

// One stop text a line; a line feed inside one is written \n, a tab \t, a backslash \\.
function stopsOf(text) {
  const signs = { n: '\n', t: '\t', '\\': '\\' };
  return text.split('\n').filter((line) => line !== '').map((line) => line.replace(/\\([nt\\])/g, (_, sign) => signs[sign]));
}

function stopsText(stops) {
  return stops.map((stop) => stop.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/\t/g, '\\t')).join('\n');
}

// What a fold says of itself while it is closed: what is set, else what could be.
function conversationAbout(conversation) {
  const { system, turns } = splitMessages(conversation.messages || []);
  const set = [system.trim() && 'system prompt', turns.length && turns.length + (turns.length > 1 ? ' earlier turns' : ' earlier turn')];
  if (conversation.template === 'raw') set.push('no template');
  if (conversation.thinking && conversation.thinking !== 'auto') set.push('thinking ' + conversation.thinking);
  return set.filter(Boolean).join(', ');
}

function stoppingAbout(state) {
  const stops = (state.stop || []).length, sampling = state.sampling || {};
  const set = [stops && stops + (stops > 1 ? ' stop texts' : ' stop text'), Number(sampling.timeout_s) > 0 && sampling.timeout_s + ' s'];
  if (sampling.rule && sampling.rule !== 'auto') set.push(sampling.rule.replace(/_/g, ' '));
  if (sampling.after_fault === 'plain') set.push('plain after a fault');
  return set.filter(Boolean).join(', ');
}

// A fold that stays open or closed when the controls are drawn anew.
export function makeFold(root, name, title, about, hint) {
  const old = root.querySelector('.sv-group.is-' + name), fold = make('details', 'sv-group is-' + name), head = make('summary', '', title);
  const said = make('span', 'sv-fold-about');
  fold.open = old ? old.open : false;
  const tellAbout = () => { const set = about(); said.textContent = set || hint; said.classList.toggle('is-set', set !== ''); };
  tellAbout();
  return { fold: add(fold, add(head, said)), tellAbout };
}

function makeArea(label, value, change, rows) {
  const field = make('label', 'sv-area'), input = make('textarea', 'sv-input');
  Object.assign(input, { value, rows: rows || 2, dir: 'auto' });
  input.addEventListener('input', () => change(input.value));
  return add(field, make('span', 'sv-field-label', label), input);
}

function makeTurns(root, turns, change) {
  const list = make('ol', 'sv-turns');
  turns.forEach((turn, index) => {
    const remove = makeButton('sv-lane-remove', '×', () => { turns.splice(index, 1); change(true); });
    remove.setAttribute('aria-label', 'Remove turn ' + (index + 1));
    const areas = ['You', 'Model'].map((who, place) => makeArea(who + ', turn ' + (index + 1), turn[place], (text) => { turn[place] = text; change(false); }));
    add(list, add(make('li', 'sv-turn'), ...areas, remove));
  });
  return list;
}

// `onRead`: the prompt is to be shown as the model reads it.
export function makeConversation(root, catalog, state, save, draw, onRead) {
  const own = state.conversation = state.conversation || {};
  const { system, turns } = splitMessages(own.messages || []);
  const { fold, tellAbout } = makeFold(root, 'conversation', 'Conversation', () => conversationAbout(own), 'system prompt, earlier turns, template');
  let systemText = system;
  const keep = (isNew) => { own.messages = joinMessages(systemText, turns); save(); tellAbout(); if (isNew) draw(); };
  const fields = make('div', 'sv-fields');
  for (const spec of catalog.conversation) add(fields, makeField(spec, own, () => { save(); tellAbout(); }));
  const more = makeButton('sv-button', 'Add a turn', () => { turns.push(['', '']); keep(true); });
  const clear = makeButton('sv-button', 'Clear', () => { turns.length = 0; systemText = ''; for (const name of Object.keys(own)) delete own[name]; keep(true); });
  const buttons = add(make('div', 'sv-fold-buttons'), more, clear);
  if (onRead) add(buttons, makeButton('sv-button', 'Show its tokens', onRead));
  return add(fold, add(make('div', 'sv-form-body'), makeArea('System prompt', system, (text) => { systemText = text; keep(false); }), makeTurns(root, turns, keep), fields, buttons));
}

export function makeStopping(root, catalog, state, save) {
  const { fold, tellAbout } = makeFold(root, 'stopping', 'Stop and verify', () => stoppingAbout(state), 'stop texts, time limit, rule');
  const keep = () => { save(); tellAbout(); };
  const fields = make('div', 'sv-fields');
  for (const spec of catalog.stopping) add(fields, makeField(spec, state.sampling, keep));
  const stops = makeArea('Stop texts, one a line (\\n is a line feed)', stopsText(state.stop || []), (text) => { state.stop = stopsOf(text); keep(); });
  return add(fold, add(make('div', 'sv-form-body'), stops, fields));
}
