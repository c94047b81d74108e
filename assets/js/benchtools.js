// Beside the list of benchmarks: a report's file is opened, one is renamed or deleted, two stand side by side.

import { add, empty, make, makeAlert, makeButton, makeHead, makeOption, shown, tell } from './dom.js';
import { isModerator, visitorToken } from './visitor.js';

// A file of the visitor's computer: a button, and what was read. The same file may be chosen twice.
export function makeFileButton(label, spoken, accept, onText) {
  const input = Object.assign(make('input', 'sv-visually-hidden'), { type: 'file', accept, tabIndex: -1 });
  input.setAttribute('aria-label', spoken);
  input.addEventListener('change', async () => {
    const [file] = input.files;
    if (file) onText(await file.text());
    input.value = '';
  });
  return add(make('span', ''), makeButton('sv-chart-save', label, () => input.click()), input);
}

// options: { server, onOpen(id) }. Returns { node, beside, draw(open) }: tools, and where two are compared.
export function makeBenchTools({ server, onOpen }) {
  const node = make('div', 'sv-bench-tools');
  const problem = makeAlert();
  const rename = makeButton('sv-chart-save', 'Rename', () => showForm(true));
  const remove = makeButton('sv-chart-save', 'Delete', pressDelete);
  const form = Object.assign(make('form', 'sv-bench-rename'), { hidden: true });
  const title = Object.assign(make('input', 'sv-input'), { maxLength: 120 });
  const beside = make('section', 'sv-bench-beside');
  const label = make('label', 'sv-field-label', 'Compare with');
  const other = make('select', 'sv-input');
  const result = make('div', 'sv-bench-table');
  let open = null;
  let isSure = false;

  title.setAttribute('aria-label', 'Title of this benchmark');
  form.addEventListener('submit', (event) => { event.preventDefault(); change('rename', title.value); });
  form.addEventListener('keydown', (event) => { if (event.key === 'Escape') showForm(false); });
  add(form, title, Object.assign(make('button', 'sv-chart-save', 'Save'), { type: 'submit' }));
  Object.assign(result, { tabIndex: 0 }); // a wide table scrolls within it
  result.setAttribute('role', 'group');
  result.setAttribute('aria-label', 'Two benchmarks side by side');
  other.id = 'bench-other';
  label.htmlFor = other.id;
  other.addEventListener('change', compare);
  add(node, makeFileButton('Open a report', 'Report of engine bench --json', '.json', (text) => change('import', text)), rename, remove, form, problem);
  add(beside, add(make('div', 'sv-bench-list'), label, other), result);

  async function change(what, text) {
    const answer = JSON.parse(await server.change({ do: what, id: open.open, text, visitor: visitorToken() }));
    tell(problem, shown(answer.alert || ''));
    if (answer.alert) return;
    showForm(false);
    onOpen(answer.open || open.entries.find((entry) => entry.id !== open.open)?.id || 'example');
  }

  function showForm(isShown) {
    form.hidden = !isShown;
    rename.hidden = isShown;
    if (!isShown) return;
    title.value = open.entries.find((entry) => entry.id === open.open)?.title || '';
    title.focus();
    title.select();
  }

  // Asks once more in its own place.
  function pressDelete() {
    if (isSure) change('delete');
    isSure = !isSure;
    remove.textContent = isSure ? 'Delete for good?' : 'Delete';
  }

  async function compare() {
    empty(result);
    if (!other.value) return;
    const wanted = { first: other.value, second: open.open };
    const told = JSON.parse(await server.beside(wanted));
    if (other.value !== wanted.first || open.open !== wanted.second) return;
    if (told.alert) { add(result, make('p', 'sv-alert', shown(told.alert))); return; }
    told.notes.forEach((text, place) => add(result, make('p', told.isWarned && place === 0 ? 'sv-bench-warning' : 'sv-note', shown(text))));
    if (told.rows.length) add(result, tableOfTwo(told));
  }

  function draw(next) {
    const isOther = open === null || open.open !== next.open;
    open = next;
    const others = open.entries.filter((entry) => entry.id !== open.open), chosen = other.value;
    other.replaceChildren(makeOption('', 'nothing'), ...others.map((entry) => makeOption(entry.id, shown(entry.title + ' · ' + entry.when))));
    other.value = others.some((entry) => entry.id === chosen) ? chosen : '';
    beside.hidden = !open.heat || !others.length;
    node.hidden = !open.mayChange && !isModerator();
    rename.hidden = remove.hidden = open.open === 'example' || !open.entries.some((entry) => entry.id === open.open);
    if (!isOther) return;
    isSure = false;
    remove.textContent = 'Delete';
    form.hidden = true;
    tell(problem, '');
    compare();
  }

  return { node, beside, draw };
}

function tableOfTwo({ head, rows }) {
  const table = make('table', 'sv-table'), line = make('tr', ''), body = make('tbody', '');
  head.forEach((name, place) => add(line, makeHead(name, place > 1 ? 'is-number' : '')));
  for (const row of rows) {
    add(body, add(make('tr', ''), ...row.map((value, place) => {
      const cell = make('td', place > 1 ? 'is-number' : '', shown(value));
      cell.dataset.label = head[place];
      return cell;
    })));
  }
  return add(table, make('caption', 'sv-visually-hidden', 'The chosen benchmark first, the open one second'), add(make('thead', ''), line), body);
}
