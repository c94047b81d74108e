// Benchmarks: which are kept, and the figures of the one that is open. Choosing a suite asks nobody: all are here.

import { goto, note, place } from './address.js';
import { add, empty, make, makeAlert, makeButton, makeHead, shown, tell } from './dom.js';
import { GLOSSARY } from './glossary.js';
import { makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';
import { tooltip } from './tooltip.js';

/** @param {import('./component').Component} component */
export default function mountBench(component) {
const { element, props, server, watch, trigger } = component;
const NARROW = 640;
const SAVES = [['md', 'Markdown'], ['html', 'HTML'], ['json', 'JSON']];
const board = make('div', 'sv-bench');
const alertBox = makeAlert();
const about = make('p', 'sv-bench-about');
const noteBox = make('p', 'sv-note');
const report = make('div', 'sv-bench-report');
const heat = makePlot({ path: PLOTLY, name: 'specviz-speedups', height: 420, onPick: ({ row, column }) => showRuns(row, column) });
const chooser = make('div', 'sv-bench-suites');
const scatter = makePlot({ path: PLOTLY, name: 'specviz-efficiency', height: 460, onPick: () => {} });
const time = makePlot({ path: PLOTLY, name: 'specviz-time', height: 360, onPick: () => {} });
const table = make('div', 'sv-bench-table');
const costs = make('p', 'sv-bench-costs');
const saves = make('div', 'sv-bench-saves');
const picker = make('select', 'sv-input');
const list = make('div', 'sv-bench-list');
const goOn = makeButton('sv-bench-resume', 'Go on with this one', () => trigger('resume', { id: open.open }));
let open = null;
let suite = '';

picker.id = 'bench-picker';
picker.addEventListener('change', () => choose(picker.value));
for (const [kind, name] of SAVES) {
  const button = makeButton('sv-chart-save', name, () => save(kind));
  button.setAttribute('aria-label', 'Download this report as ' + name);
  add(saves, button);
}
const label = make('label', 'sv-field-label', 'Benchmark');
label.htmlFor = picker.id;
const toControls = makeButton('sv-bench-resume sv-bench-own', 'Measure your own');
toControls.addEventListener('click', () => {
  document.querySelector('#bench-estimate').scrollIntoView({ block: 'start' });
  /** @type {HTMLElement} */ (document.querySelector('#bench-suites input')).focus({ preventScroll: true });
});
add(list, label, picker, goOn, saves, toControls);
chooser.setAttribute('role', 'group');
chooser.setAttribute('aria-label', 'Suite of the figures below');
add(report, about, heat.node, chooser, add(make('div', 'sv-bench-pair'), scatter.node, time.node), table, costs);
add(board, alertBox, list, noteBox, report);
element.appendChild(board);

// The saved runs behind a figure, as a filtered list.
function showRuns(method, task) {
  if (open.group) goto({ view: 'sessions', group: open.group, method, task: task === open.overall ? '' : task });
}

function choose(id) { trigger('open', { id }); }

async function save(kind) {
  const text = await server.export({ id: open.open, kind });
  const types = { md: 'text/markdown', html: 'text/html', json: 'application/json' };
  const link = make('a', '');
  link.href = URL.createObjectURL(new Blob([text], { type: types[kind] + ';charset=utf-8' }));
  link.download = 'specviz-benchmark-' + open.open.slice(0, 8) + '.' + kind;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

let lastOpen = null;

// The address follows what is opened from here; where it led here, it is left as it is.
function follow() {
  const isHere = place().view === 'bench';
  if (lastOpen !== null && lastOpen !== open.open && isHere) note({ view: 'bench', run: open.open });
  lastOpen = open.open;
}

function drawList() {
  const entry = open.entries.find((known) => known.id === open.open);
  empty(picker);
  for (const known of open.entries) {
    const state = known.state === 'complete' ? '' : ' · ' + known.state;
    const option = make('option', '', shown(known.title + ' · ' + known.when + ' · ' + known.runs + state));
    option.value = known.id;
    picker.appendChild(option);
  }
  picker.value = open.open;
  goOn.hidden = entry?.state !== 'stopped';
  saves.hidden = !open.heat;
}

function drawChooser() {
  empty(chooser);
  chooser.hidden = open.suites.length < 2;
  for (const name of open.suites) {
    const button = makeButton('sv-chip', shown(name), () => { suite = name; drawSuite(); chooser.querySelector('[aria-pressed="true"]').focus(); });
    button.setAttribute('aria-pressed', String(name === suite));
    add(chooser, button);
  }
}

function isNarrow() { return window.innerWidth < NARROW; }

function drawHeat() {
  const figure = { ...open.heat, revision: open.open };
  if (isNarrow()) figure.texts = figure.shortTexts;
  heat.resize(60 + 26 * figure.rows.length);
  if (open.group) figure.caption = [figure.caption, 'Press a field for its saved runs.'].filter(Boolean).join(' ');
  heat.draw(figure);
}

function drawSuite() {
  const found = open.bySuite[suite];
  drawChooser();
  const points = { ...found.scatter, revision: open.open + suite };
  if (isNarrow()) points.series = points.series.map(({ texts, ...rest }) => rest);
  scatter.draw(points);
  time.draw({ ...found.time, revision: open.open + suite });
  drawTable(found.rows);
}

function termOf(definition) { return Object.keys(GLOSSARY).find((term) => GLOSSARY[term] === definition); }

function runsButton(method) {
  const button = Object.assign(makeButton('sv-open', shown(method)), { title: 'The saved runs behind this row' });
  button.setAttribute('aria-label', shown(method) + ': the saved runs behind this row');
  button.addEventListener('click', () => showRuns(method, suite));
  return button;
}

function drawTable(rows) {
  const node = make('table', 'sv-table');
  const head = make('tr', '');
  add(head, makeHead('Method'));
  for (const column of open.columns) {
    add(head, add(makeHead('', 'is-number'), make('span', '', column.name + ' '), tooltip(column.name, { text: column.help, term: termOf(column.help) })));
  }
  const body = make('tbody', '');
  for (const row of rows) {
    const line = make('tr', '');
    row.forEach((value, index) => {
      const cell = make('td', index ? 'is-number' : '', index || !open.group ? shown(value) : '');
      if (!index && open.group) add(cell, runsButton(value));
      cell.dataset.label = index ? open.columns[index - 1].name : 'Method';
      add(line, cell);
    });
    add(body, line);
  }
  add(empty(table), add(node, add(make('thead', ''), head), body));
}

function draw() {
  open = JSON.parse(props.value);
  tell(alertBox, shown(open.alert || ''));
  tell(noteBox, shown(open.note || ''));
  report.hidden = !open.heat;
  drawList();
  follow();
  if (!open.heat) return;
  about.textContent = shown((open.isComplete ? '' : 'Not complete: only the rounds that were finished are counted. ') + open.about);
  costs.textContent = shown([open.costs, ...open.skipped].join(' '));
  if (!open.suites.includes(suite)) suite = open.suites[0];
  drawHeat();
  drawSuite();
}

watch('value', draw);
draw();
}
