// The Sessions view: asks the server for pages of the list and draws what the address names. `value` is `{open, compare}`.

import { goto, linkTo, note } from './address.js';
import { openSettings, runAgain } from './again.js';
import { add, empty, make, makeAlert, makeButton, tell } from './dom.js';
import { makeFilters } from './filters.js';
import { counted, pagesOf, sortedBy, summaryOf } from './listwords.js';
import { PLOTLY } from './plotly.js';
import { makeRunTable } from './runtable.js';
import { makeSelection } from './selection.js';
import { makeSideBySide } from './sidebyside.js';
import { visitorToken } from './visitor.js';

/** @param {import('./component').Component} component */
export default function mountBrowser(component) {
const { element, props, server, watch, NO_FILES } = component;
const UNDO_MS = 12000;
const chosen = new Set();
const known = new Map(); // rows that were seen, so that chosen ones of other pages are known too
let listing = { sort: 'when', is_descending: true, page: 0 };
let list = { rows: [], total: 0, first: 1, size: 50 };
let asked = 0;
let openId = '';

const holder = make('div', 'sv-sessions');
const problem = makeAlert();
const toast = make('div', 'sv-toast');
const summary = make('p', 'sv-note');
const pager = make('nav', 'sv-pager');
const filters = makeFilters((conditions) => { listing = { sort: listing.sort, is_descending: listing.is_descending, page: 0, ...groupOnly(), ...conditions }; refresh(); });
const groupChip = Object.assign(makeButton('sv-mark is-tag sv-group-chip', 'Runs of one group ×'), { hidden: true, title: 'Show the runs of all groups' });
const rows = makeRunTable({
  open: (id) => goto({ view: 'sessions', run: id }),
  choose: (id, isOn) => { if (isOn) chosen.add(id); else chosen.delete(id); drawChosen(); },
  chooseAll: (ids, isOn) => { for (const id of ids) if (isOn) chosen.add(id); else chosen.delete(id); drawChosen(); },
  sort: (key) => { listing = { ...listing, page: 0, ...sortedBy(listing, key) }; refresh(); },
});
const selection = makeSelection({
  compare: () => goto({ view: 'sessions', ids: [...chosen] }),
  open: () => goto({ view: 'sessions', run: [...chosen][0] }),
  inspect: () => goto({ view: 'inspect', run: [...chosen][0] }),
  again: () => runAgain([...chosen][0]),
  play: () => openSettings([...chosen][0]),
  none: () => { chosen.clear(); drawChosen(); },
  link: copyLink,
  remove: () => remove([...chosen]),
  tag: (text) => mark('tag', text),
  untag: (text) => mark('untag', text),
  note: (text) => mark('note', text),
  export: exportRuns,
});
const sides = makeSideBySide(PLOTLY, (id) => goto({ view: 'sessions', run: id }), () => goto({ view: 'sessions' }));

// An answer, or null after its sentence was shown. The sentence stays until the same question is answered.
async function ask(call, given) {
  let answer;
  try {
    answer = JSON.parse(await server[call](given));
  } catch (error) {
    answer = { error: 'The server does not answer. Nothing was changed; please try again.' };
  }
  if (answer.error || problem.dataset.call === call) {
    tell(problem, answer.error);
    problem.dataset.call = call;
  }
  return answer.error ? null : answer;
}

function groupOnly() { return listing.group_id ? { group_id: listing.group_id } : {}; }

// A list that another view leads to, such as the runs behind a figure of a benchmark.
function showGroup(found) {
  listing = { sort: 'when', is_descending: true, page: 0, ...found };
  filters.set(found);
}

async function refresh() {
  const turn = ++asked;
  holder.setAttribute('aria-busy', 'true');
  const answer = await ask('find_runs', asMe(listing));
  if (turn !== asked) return; // a newer question is on its way
  holder.removeAttribute('aria-busy');
  if (!answer) return;
  list = answer;
  for (const row of list.rows) known.set(row.id, row);
  filters.offer(list.known);
  draw();
}

function draw() {
  summary.textContent = summaryOf(list) + ' ' + (list.kept || '');
  groupChip.hidden = !listing.group_id;
  rows.draw(list, listing, chosen, openId);
  drawChosen();
  drawPager();
}

function drawChosen() {
  rows.tick(chosen);
  selection.draw([...chosen], [...chosen].map((id) => known.get(id)).filter(Boolean), list.total);
}

function drawPager() {
  const numPages = pagesOf(list);
  const page = listing.page;
  empty(pager);
  /** @type {[string, string, number][]} */
  const ways = [['«', 'First page', 0], ['‹', 'Page before', page - 1], ['›', 'Next page', page + 1], ['»', 'Last page', numPages - 1]];
  for (const [text, label, to] of ways) {
    const button = Object.assign(makeButton('sv-button', text), { disabled: to < 0 || to >= numPages || to === page });
    button.setAttribute('aria-label', label);
    button.addEventListener('click', () => { listing = { ...listing, page: to }; refresh(); });
    add(pager, button);
    if (text === '‹') add(pager, make('span', '', 'Page ' + (page + 1).toLocaleString('en') + ' of ' + numPages.toLocaleString('en')));
  }
  pager.hidden = numPages === 1 && page === 0;
}

function asMe(asked) { return JSON.stringify({ ...asked, visitor: visitorToken() }); }

async function mark(action, text) {
  if (await ask('mark_runs', asMe({ action, ids: [...chosen], text }))) refresh();
}

async function remove(ids) {
  const answer = await ask('mark_runs', asMe({ action: 'delete', ids }));
  if (!answer) return;
  for (const id of ids) { chosen.delete(id); known.delete(id); }
  const n = answer.deleted.length;
  say(counted(n, 'run was deleted.', 'runs were deleted.'), 'Undo', () => restore(answer.deleted));
  refresh();
}

async function restore(ids) {
  const answer = ids.length && await ask('mark_runs', asMe({ action: 'restore', ids }));
  if (answer) say(answer.restored.length === 1 ? 'The run is back.' : 'The runs are back.');
  refresh();
}

function say(text, action, listener) {
  empty(toast);
  add(toast, make('span', '', text));
  if (action) {
    const button = makeButton('sv-button', action, () => { empty(toast); listener(); });
    add(toast, button);
    button.focus();
  }
  const shownText = toast.firstChild;
  window.setTimeout(() => { if (toast.firstChild === shownText && !toast.contains(document.activeElement)) empty(toast); }, UNDO_MS);
}

async function copyLink() {
  const ids = [...chosen];
  const link = linkTo(ids.length === 1 ? { view: 'sessions', run: ids[0] } : { view: 'sessions', ids });
  try {
    await navigator.clipboard.writeText(link);
    say('The link is copied.');
  } catch (error) {
    say(link);
  }
}

async function exportRuns(kind) {
  const answer = await ask('export_runs', JSON.stringify(chosen.size ? { kind, ids: [...chosen] } : { kind, listing: { ...listing, page: 0, visitor: visitorToken() } }));
  if (!answer) return;
  const content = answer.is_base64 ? Uint8Array.from(atob(answer.content), (char) => char.charCodeAt(0)) : answer.content;
  const link = make('a', '');
  link.href = URL.createObjectURL(new Blob([content], { type: answer.type }));
  link.download = answer.name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function importFile(file) {
  const answer = file && await ask('import_runs', { text: await file.text(), visitor: visitorToken() });
  if (!answer) return;
  const n = answer.added.length;
  const others = answer.known ? ' ' + counted(answer.known, 'was here already.', 'were here already.') : '';
  say(counted(n, 'run was imported.', 'runs were imported.') + others);
  chosen.clear();
  for (const id of answer.added) chosen.add(id);
  refresh();
}

function importButton() {
  const input = Object.assign(make('input', 'sv-visually-hidden'), { type: 'file', accept: '.jsonl,.ndjson,.txt', tabIndex: -1 });
  const button = makeButton('sv-button', 'Import JSONL', () => input.click());
  input.setAttribute('aria-label', 'File of exported runs');
  input.addEventListener('change', async () => { await importFile(input.files[0]); input.value = ''; });
  return add(make('span', 'sv-import'), button, input);
}

// What the address names: a run on the stage below, some runs side by side, or neither.
function arrive() {
  const wanted = props.value ? JSON.parse(props.value) : null;
  if (!wanted) return;
  const compared = wanted.compare ? JSON.parse(wanted.compare) : null;
  openId = wanted.open;
  if (wanted.find) showGroup(wanted.find);
  sides.draw(compared);
  if (compared && compared.runs && !chosen.size) for (const run of compared.runs) chosen.add(run.id);
  const stage = document.querySelector('#saved-stage');
  if (stage) stage.classList.toggle('is-away', !openId);
  refresh();
  const target = compared ? sides.node : openId ? stage : null;
  if (target) window.setTimeout(() => target.scrollIntoView({ block: compared ? 'start' : 'nearest' }), 100);
}

groupChip.addEventListener('click', () => { delete listing.group_id; listing.page = 0; note({ view: 'sessions' }); refresh(); });
toast.setAttribute('role', 'status');
pager.setAttribute('aria-label', 'Pages');
add(holder, filters.node, problem, add(make('div', 'sv-list-head'), summary, groupChip, ...(NO_FILES ? [] : [importButton()])), rows.node, pager, selection.node, toast, sides.node);
element.appendChild(holder);
watch('value', arrive);
arrive();
}
