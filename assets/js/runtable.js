// The rows of the list. Texts are set as text; sorting, opening and choosing are reported.

import { add, empty, make, makeButton, makeHead, shown } from './dom.js';
import { explain } from './tooltip.js';

const COLUMNS = [
  ['when', 'When (UTC)', ''], ['status', 'Status', ''], ['method', 'Method', ''], ['model', 'Model', ''], ['', 'Prompt', ''],
  ['tokens', 'Tokens', 'is-number', 'emitted-tokens'], ['speed', 'Tokens/s', 'is-number', 'tokens-per-second'], ['', 'Speedup', 'is-number', 'speedup'],
  ['efficiency', 'Block efficiency', 'is-number', 'block-efficiency'], ['acceptance', 'Accepted', 'is-number', 'acceptance-rate'], ['', 'Verdict', '', 'audit'],
];

// on: { sort(key), open(id), choose(id, isOn), chooseAll(ids, isOn) }
export function makeRunTable(on) {
  const node = make('div', 'sv-table-box');

  function cell(row, key, label, className) {
    const td = make('td', className || '');
    td.dataset.label = label;
    return add(td, make('bdi', '', shown(String(row[key]))));
  }

  function checkbox(label, isOn, listener) {
    const box = Object.assign(make('input', 'sv-choose'), { type: 'checkbox', checked: isOn });
    box.setAttribute('aria-label', label);
    box.addEventListener('change', () => listener(box.checked));
    return box;
  }

  function head(list, listing, chosen) {
    const line = make('tr', '');
    const ids = list.rows.map((row) => row.id);
    const all = checkbox('Choose all on this page', ids.every((id) => chosen.has(id)), (isOn) => on.chooseAll(ids, isOn));
    add(line, add(makeHead('', 'sv-choose-cell'), all));
    for (const [key, name, className, term] of COLUMNS) {
      const th = makeHead('', className);
      if (key) {
        const isSorted = listing.sort === key;
        const arrow = isSorted ? (listing.is_descending ? ' ↓' : ' ↑') : '';
        const button = makeButton('sv-sort', name + arrow, () => on.sort(key));
        if (isSorted) th.setAttribute('aria-sort', listing.is_descending ? 'descending' : 'ascending');
        add(th, button);
      } else th.textContent = name;
      if (term) add(th, document.createTextNode(' '), explain(name, [term]));
      add(line, th);
    }
    return add(make('thead', ''), line);
  }

  function promptCell(row) {
    const td = cell(row, 'prompt', 'Prompt', 'sv-run-prompt');
    const marks = make('span', 'sv-marks');
    if (row.isPrivate) add(marks, make('span', 'sv-mark', 'private'));
    if (row.origin) add(marks, make('bdi', 'sv-mark is-imported', shown(row.origin)));
    if (row.task) add(marks, make('bdi', 'sv-mark is-task', shown(row.task)));
    for (const tag of row.tags) add(marks, make('bdi', 'sv-mark is-tag', shown(tag)));
    if (row.note) add(marks, make('bdi', 'sv-mark is-note', shown(row.note)));
    return marks.childElementCount ? add(td, marks) : td;
  }

  function line(row, chosen, openId) {
    const tr = make('tr', 'is-' + row.status + (row.id === openId ? ' is-open' : ''));
    tr.dataset.run = row.id;
    const open = makeButton('sv-open', row.when, () => on.open(row.id));
    open.setAttribute('aria-label', 'Open the run of ' + row.when + ', ' + row.method);
    tr.addEventListener('click', (event) => { if (!event.target.closest('button, input') && String(window.getSelection()) === '') on.open(row.id); });
    const when = make('td', '');
    when.dataset.label = 'When';
    const box = checkbox('Choose the run of ' + row.when + ', ' + row.method, chosen.has(row.id), (isOn) => on.choose(row.id, isOn));
    return add(tr, add(make('td', 'sv-choose-cell'), box), add(when, open), cell(row, 'status', 'Status', 'sv-run-status'),
      cell(row, 'method', 'Method'), cell(row, 'model', 'Model'), promptCell(row), cell(row, 'tokens', 'Tokens', 'is-number'),
      cell(row, 'speed', 'Tokens/s', 'is-number'), cell(row, 'speedup', 'Speedup', 'is-number'),
      cell(row, 'efficiency', 'Block efficiency', 'is-number'), cell(row, 'acceptance', 'Accepted', 'is-number'), cell(row, 'verdict', 'Verdict', 'sv-run-verdict'));
  }

  function draw(list, listing, chosen, openId) {
    empty(node);
    if (!list.rows.length) return;
    const body = make('tbody', '');
    for (const row of list.rows) add(body, line(row, chosen, openId));
    add(node, add(make('table', 'sv-table'), head(list, listing, chosen), body));
  }

  // Tick what is chosen, and leave the rows as they are: the focus stays where it is.
  function tick(chosen) {
    const boxes = [...node.querySelectorAll('tbody .sv-choose')];
    for (const box of boxes) box.checked = chosen.has(box.closest('tr').dataset.run);
    const all = node.querySelector('thead .sv-choose');
    if (all) all.checked = boxes.every((box) => box.checked);
  }

  return { node, draw, tick };
}
