// What can be done with the chosen runs. `on` has one listener for each; words and notes are asked for in place.

import { add, empty, make, makeButton, shown } from './dom.js';

const FILES = [['jsonl', 'JSONL'], ['csv', 'CSV'], ['parquet', 'Parquet'], ['html', 'HTML']];
const TABLES = new Set(['csv', 'parquet']);
const MOST_COMPARED = 8;
const NOT_YOURS = 'This run was made in another browser: you may look at it and export it, but not tag, note or delete it.';
const NOT_ALL_YOURS = 'Some of these runs were made in another browser: you may look at them and export them, but not tag, note or delete them.';

// on: { compare(), open(), inspect(), again(), play(), link(), remove(), none(), tag(word), untag(word), note(text), export(kind) }
export function makeSelection(on) {
  const node = make('div', 'sv-selection');
  const count = make('strong', 'sv-selection-count');
  const buttons = {};
  const actions = make('div', 'sv-selection-actions');
  const exporting = make('div', 'sv-selection-files');
  const words = make('div', 'sv-selection-words');
  node.setAttribute('role', 'region');
  node.setAttribute('aria-label', 'Chosen runs');

  function button(name, text, listener, parent) {
    buttons[name] = makeButton('sv-button', text, listener);
    add(parent, buttons[name]);
  }

  for (const [name, text] of [['compare', 'Compare'], ['open', 'Replay'], ['inspect', 'Inspect'], ['again', 'Run again'], ['play', 'Open in Playground'], ['link', 'Copy link'], ['remove', 'Delete'], ['none', 'Choose none']]) button(name, text, () => on[name](), actions);
  add(exporting, make('span', 'sv-selection-label', 'Export'));
  for (const [kind, text] of FILES) button(kind, text, () => on.export(kind), exporting);

  function form(name, label, placeholder, most, text, listener) {
    const box = make('form', 'sv-word is-' + name);
    const input = Object.assign(make('input', 'sv-input'), { placeholder, maxLength: most });
    input.setAttribute('aria-label', label);
    const send = Object.assign(make('button', 'sv-button', text), { type: 'submit' });
    box.addEventListener('submit', (event) => { event.preventDefault(); listener(input.value.trim()); });
    add(words, add(box, input, send));
    return input;
  }

  const tags = make('span', 'sv-tags');
  const tagInput = form('tag', 'Tag for the chosen runs', 'Tag', 40, 'Add tag', (word) => { if (word) { on.tag(word); tagInput.value = ''; } });
  words.firstChild.prepend(tags);
  const noteInput = form('note', 'Note on the chosen run', 'Note', 4000, 'Save note', (text) => on.note(text));
  const whose = make('p', 'sv-note sv-selection-whose');
  whose.setAttribute('role', 'note');
  add(node, count, actions, exporting, words, whose);

  // chosen: ids; rows: those of them on this page; total: how many were found.
  function draw(chosen, rows, total) {
    const n = chosen.length;
    const isOne = n === 1 && rows.length === 1;
    node.classList.toggle('is-empty', n === 0);
    node.hidden = n === 0 && total === 0;
    count.textContent = n ? n + (n === 1 ? ' run chosen' : ' runs chosen') : 'All ' + total.toLocaleString('en') + ' found';
    const mayChange = rows.every((row) => row.mayChange);
    actions.hidden = n === 0;
    words.hidden = n === 0 || !mayChange;
    whose.hidden = n === 0 || mayChange;
    whose.textContent = n === 1 ? NOT_YOURS : NOT_ALL_YOURS;
    buttons.remove.disabled = !mayChange;
    buttons.compare.disabled = n < 2 || n > MOST_COMPARED;
    buttons.compare.title = 'Two to eight runs side by side';
    for (const name of ['open', 'inspect', 'again', 'play']) buttons[name].disabled = n !== 1;
    buttons.again.title = buttons.play.title = 'The Playground with this run’s prompt, model, method and settings';
    for (const [kind] of FILES) buttons[kind].hidden = n === 0 && !TABLES.has(kind);
    noteInput.closest('form').hidden = !isOne;
    if (document.activeElement !== noteInput) noteInput.value = isOne ? rows[0].note : '';
    drawTags(rows);
  }

  function drawTags(rows) {
    empty(tags);
    for (const word of new Set(rows.flatMap((row) => row.tags))) {
      const off = makeButton('sv-mark is-tag', shown(word) + ' ×', () => on.untag(word));
      off.setAttribute('aria-label', 'Remove the tag ' + word);
      add(tags, off);
    }
  }

  return { node, draw };
}
