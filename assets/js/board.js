// What stands below the lanes: charts that grow while they run, and when the race has ended the table to take away, where texts part, what differs.

import { add, empty, make, makeButton, makeHead, probability, shown, spelled } from './dom.js';
import { pageShade } from './drawings.js';
import { makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';
import { makeSwatch } from './swatch.js';
import { explain } from './tooltip.js';

const CHARTS = ['tokens', 'split', 'acceptance', 'waste'];
const CURSOR_EVERY_MS = 100;

async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const box = make('textarea', 'sv-visually-hidden');
  box.value = text;
  document.body.appendChild(box);
  box.select();
  document.execCommand('copy');
  box.remove();
}

// A button that copies, and says so where a screen reader hears it.
export function makeCopy(name, label, text, said) {
  const button = makeButton('sv-copy', name);
  button.setAttribute('aria-label', label);
  button.addEventListener('click', async () => {
    await copyText(text());
    said.textContent = name + ' copied.';
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = name; }, 1600);
  });
  return button;
}

export function makeBoard(stylesOfLanes, onInspect) {
  const node = make('div', 'sv-board');
  const charts = make('div', 'sv-board-charts');
  const tableHolder = make('section', 'sv-board-table');
  const diffs = make('section', 'sv-board-diffs');
  const settings = make('section', 'sv-board-settings');
  const said = make('span', 'sv-board-said');
  const plots = {};
  let copies = {};
  let cursorAt = 0;
  said.setAttribute('role', 'status');
  for (const name of CHARTS) {
    plots[name] = makePlot({ path: PLOTLY, name: 'race-' + name, height: 270 });
    add(charts, plots[name].node);
  }
  add(node, charts, tableHolder, diffs, settings);

  function drawTable(board, styles) {
    const table = make('table', 'sv-table sv-board-rows');
    const head = make('tr', '');
    for (const column of board.columns) {
      const cell = makeHead('', column.isNumber ? 'is-number' : '');
      add(head, add(cell, make('span', 'sv-board-heading', column.heading), add(make('span', 'sv-board-unit'), make('span', '', column.unit), explain(column.heading, column.terms))));
    }
    const body = make('tbody', '');
    board.cells.forEach((cells, index) => add(body, row(board, cells, styles[index])));
    const copying = make('div', 'sv-board-copying');
    for (const name of Object.keys(board.copies)) add(copying, makeCopy(name, 'Copy the table as ' + name, () => copies[name], said));
    empty(tableHolder);
    add(tableHolder, add(make('div', 'sv-board-head'), make('h2', '', 'All lanes'), add(copying, said)));
    add(tableHolder, add(make('div', 'sv-board-scroll'), add(table, add(make('thead', ''), head), body)));
    tableHolder.querySelector('.sv-board-scroll').tabIndex = 0;
    tableHolder.querySelector('.sv-board-scroll').setAttribute('role', 'region');
    tableHolder.querySelector('.sv-board-scroll').setAttribute('aria-label', 'All lanes, a table');
  }

  function row(board, cells, style) {
    const line = make('tr', '');
    cells.forEach((text, index) => {
      const cell = make(index ? 'td' : 'th', board.columns[index].isNumber ? 'is-number' : '');
      cell.dataset.label = board.columns[index].heading;
      const name = make('bdi', '', shown(text));
      if (index === 0) cell.scope = 'row';
      add(line, add(cell, index ? name : add(make('span', 'sv-board-lane'), makeSwatch(style), name)));
    });
    return line;
  }

  function side(name, found, isLane) {
    const line = make('tr', isLane ? 'is-lane' : '');
    const token = add(make('td', ''), make('bdi', 'sv-diff-token', spelled(found.t)), make('bdi', 'sv-diff-following', shown(found.following)));
    return add(line, makeHead(name, '', 'row'), token, make('td', 'is-number', probability(found.plain)), make('td', 'is-number', probability(found.run)));
  }

  function diff(found, row, index) {
    const item = make('li', 'sv-diff' + (found.tone ? ' is-' + found.tone : ''));
    add(item, make('p', 'sv-diff-lane', shown(row.label)), make('p', 'sv-diff-text', shown(found.text)));
    const table = make('table', 'sv-diff-table');
    const head = make('tr', '');
    for (const name of ['Written by', 'Token, and what follows', 'p as plain met it', 'p as this lane met it']) add(head, makeHead(name));
    const open = makeButton('sv-copy', 'Inspect step ' + found.run.step, () => onInspect(index, found.run.step));
    add(table, add(make('thead', ''), head), add(make('tbody', ''), side('plain', found.plain, false), side('this lane', found.run, true)));
    if (found.context) add(item, add(make('p', 'sv-diff-context'), make('span', 'sv-diff-label', 'Both wrote '), make('bdi', '', '…' + shown(found.context))));
    return add(item, table, open);
  }

  function drawDiffs(board, rows) {
    const list = make('ul', 'sv-diffs');
    const same = [];
    board.diffs.forEach((found, index) => {
      if (found && found.position !== undefined) add(list, diff(found, rows[index], index));
      else if (found && rows[index].emitted) same.push(rows[index].label);
    });
    empty(diffs);
    if (!same.length && !list.children.length) return;
    add(diffs, make('h2', '', 'First difference from plain decoding'));
    if (list.children.length) add(diffs, list);
    if (same.length) add(diffs, make('p', 'sv-diff-same', 'No token differs: ' + shown(same.join(', ')) + '.'));
  }

  function drawSettings(board, rows) {
    empty(settings);
    for (const text of board.warnings) add(settings, make('p', 'sv-board-warning', shown(text)));
    if (!board.settings.length) return;
    const table = make('table', 'sv-plot-table');
    const head = make('tr', '');
    for (const name of ['Setting', ...rows.map((row) => row.label)]) add(head, makeHead(shown(name)));
    const body = make('tbody', '');
    for (const setting of board.settings) {
      const line = add(make('tr', ''), makeHead(setting.name, '', 'row'));
      for (const value of setting.values) add(line, make('td', '', shown(value) || '–'));
      add(body, line);
    }
    const scroll = add(make('div', 'sv-board-scroll'), add(table, add(make('thead', ''), head), body));
    scroll.tabIndex = 0;
    add(settings, make('h2', '', 'Settings that differ'), scroll);
  }

  // The clock's place in the chart of tokens over time; a few times a second.
  function showAt(ms, total) {
    const plot = plots.tokens.node.querySelector('.sv-chart-plot');
    if (!plot.data || (performance.now() - cursorAt < CURSOR_EVERY_MS && ms < total)) return;
    cursorAt = performance.now();
    const line = { color: pageShade('ink'), width: 1.4, dash: 'solid' };
    const shapes = ms < total ? [{ type: 'line', yref: 'paper', y0: 0, y1: 1, x0: ms / 1000, x1: ms / 1000, line }] : [];
    window.Plotly.relayout(plot, { shapes });
  }

  // The same revision keeps the visitor's zoom while a race grows and when it has ended.
  function drawCharts(figures, revision) {
    for (const name of CHARTS) {
      const isEmpty = !figures[name]?.series.some((series) => series.x.length);
      plots[name].node.hidden = isEmpty;
      if (!isEmpty) plots[name].draw({ ...figures[name], revision });
    }
  }

  return {
    node,
    showAt,
    drawCharts,
    clear() {
      drawCharts({});
      for (const part of [tableHolder, diffs, settings]) empty(part);
    },
    draw(board, rows, keys, revision) {
      copies = board.copies;
      drawCharts(board.figures, revision);
      drawTable(board, stylesOfLanes(keys));
      drawDiffs(board, rows);
      drawSettings(board, rows);
    },
  };
}
