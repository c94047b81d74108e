// Beside the tree: where the step's time went, what smaller drafts would have brought, the attention mask, the nodes as
// a table. Each draws the step it is given; folded ones draw when they are opened.

import { add, empty, make, makeButton, makeHead, makeSvg, milliseconds, probability, spelled } from './dom.js';
import { depthsOf, pathTo, STATUS } from './drafttree.js';
import { explain } from './tooltip.js';

const PHASES = [['draft', 'Draft'], ['target', 'Target pass'], ['commit', 'Commit'], ['verify', 'Verify'], ['host', 'Rest']];

export function makePhases() {
  const holder = make('section', 'sv-phases');
  const bar = make('div', 'sv-phases-bar');
  const list = make('dl', 'sv-phases-list');
  bar.setAttribute('aria-hidden', 'true');
  add(holder, add(make('p', 'sv-panel-title', 'Time of this step '), explain('Time of this step', ['phase'])), bar, list);
  return {
    node: holder,
    draw(step) {
      const total = step.ms.reduce((sum, ms) => sum + ms, 0) || 1;
      empty(bar);
      empty(list);
      PHASES.forEach(([name, label], index) => {
        const part = make('span', 'is-' + name);
        part.style.width = (100 * step.ms[index]) / total + '%';
        bar.appendChild(part);
        add(list, add(make('div', 'sv-phase is-' + name), make('dt', '', label), make('dd', '', milliseconds(step.ms[index]))));
      });
      add(list, add(make('div', 'sv-phase is-total'), make('dt', '', 'Whole step'), make('dd', '', milliseconds(total))));
      add(list, add(make('div', 'sv-phase is-kv'), make('dt', '', 'KV cache after'), make('dd', '', step.kv + ' rows')));
    },
  };
}

// A part of the page that is drawn only while it is open.
export function makeFold(title, className, draw) {
  const node = make('details', 'sv-fold ' + className);
  const body = make('div', 'sv-fold-body');
  let latest = null;
  const redraw = () => { if (node.open && latest) draw(body, ...latest); };
  add(node, make('summary', '', title), body);
  node.addEventListener('toggle', redraw);
  return { node, draw(...given) { latest = given; redraw(); } };
}

const CUTS = [['budget', 'Budget', 'first nodes only'], ['depth', 'Depth', 'levels'], ['topk', 'Top-k', 'children per node']];

// How much of a step's surviving path lies inside a cut.
const KEPT = {
  budget: (step, limit) => step.path.filter((node) => node < limit).length,
  depth: (step, limit) => Math.min(step.path.length, limit),
  topk: (step, limit) => step.ranks.filter((rank) => rank <= limit).length,
};
const cutTotals = new WeakMap();

function wholeRun(trace, family, limit) {
  if (!cutTotals.has(trace)) cutTotals.set(trace, new Map());
  const known = cutTotals.get(trace), name = family + limit;
  if (!known.has(name)) {
    const tokens = trace.steps.reduce((sum, step) => sum + Math.min(step.k.length, KEPT[family](step, limit) + 1), 0);
    known.set(name, tokens / trace.steps.length);
  }
  return known.get(name);
}

export function drawCuts(body, trace, step) {
  empty(body);
  const isDrawn = trace.run.judgedBy === 'draw';
  add(body, make('p', 'sv-fold-note', 'Cuts of the recorded tree, the rest unchanged. “Kept” is what this step would have accepted; a drafter that knows the smaller limit may draft otherwise, and every later step would begin elsewhere, so the last column is an estimate.'));
  if (!step.up.length) { add(body, make('p', 'sv-fold-note', 'Nothing was drafted at this step.')); return; }
  const holder = make('div', 'sv-cuts');
  for (const [family, title, unit] of CUTS) {
    const table = make('table', 'sv-plot-table');
    const head = make('tr', '');
    const names = [[title], ['Nodes'], ['Kept ', 'accepted-length'], ...(isDrawn ? [['Expected']] : []), ['Tokens a pass, run (est.) ', 'block-efficiency']];
    for (const [name, term] of names) {
      const cell = makeHead(name);
      add(head, term ? add(cell, explain(name.trim(), [term])) : cell);
    }
    const lines = make('tbody', '');
    for (const [limit, nodes, kept, expected] of step.cuts[family]) {
      const line = make('tr', '');
      const cells = [nodes, kept, ...(isDrawn ? [expected === null ? '–' : expected.toFixed(2)] : []), wholeRun(trace, family, limit).toFixed(2)];
      add(line, makeHead(String(limit), '', 'row'), ...cells.map((value) => make('td', '', String(value))));
      lines.appendChild(line);
    }
    add(holder, add(table, make('caption', 'sv-cuts-caption', title + ': ' + unit), add(make('thead', ''), head), lines));
  }
  body.appendChild(holder);
}

const CELL = 11;

// Which rows each row of the target pass sees beside the context: 0 is the root, i + 1 node i.
function seenBy(step) {
  const seen = [[0]];
  step.up.forEach((parent, index) => seen.push([...seen[parent + 1], index + 1]));
  return seen;
}

// The context is one column: all of it is seen by every row.
export function drawMask(body, trace, step, key) {
  empty(body);
  const size = step.up.length + 1, chosen = Number(key);
  const seen = seenBy(step);
  const svg = makeSvg('svg', { class: 'sv-mask', width: (size + 2) * CELL, height: size * CELL, role: 'img', 'aria-label': 'Attention mask: each row sees the context, the root, its own ancestors and itself.' });
  const cell = (column, row, name) => svg.appendChild(makeSvg('rect', { x: column * CELL + 0.5, y: row * CELL + 0.5, width: CELL - 1, height: CELL - 1, class: 'sv-mask-cell ' + name }));
  for (let row = 0; row < size; row++) {
    cell(0, row, 'is-context');
    for (let column = 0; column < size; column++) cell(column + 1.5, row, (seen[row].includes(column) ? 'is-seen' : 'is-unseen') + (row - 1 === chosen ? ' is-chosen' : ''));
  }
  const names = Number.isInteger(chosen) && chosen >= 0 ? pathTo(step, chosen).slice(0, -1).map((node) => 'node ' + node) : [];
  const text = names.length || chosen >= 0 ? 'Node ' + chosen + ' sees the context, the root' + (names.length ? ', ' + names.join(', ') : '') + ' and itself.' : 'The root sees the context and itself. Choose a node to see its row.';
  add(body, make('p', 'sv-fold-note', 'One row per token of the target pass: root, then the nodes. First column: the whole context. ' + text), add(make('div', 'sv-mask-box'), svg));
}

// The nodes as rows; a press on a head sorts, a press on a token chooses the node.
export function makeNodeTable(onPick) {
  let order = [0, 1];
  const columns = ['Node', 'Token', 'Depth', 'Parent', 'Status', 'Draft', 'Target'];
  const fold = makeFold('Nodes as a table', 'sv-nodes', draw);

  function rowsOf(trace, step) {
    const depths = depthsOf(step);
    return step.up.map((parent, node) => [node, trace.pieces[step.t[node]], depths[node], parent, STATUS[step.s[node]], step.q[node], step.p[node]]);
  }

  function compare(a, b) {
    const [column, sign] = order, left = a[column] ?? -1, right = b[column] ?? -1;
    return sign * (left < right ? -1 : left > right ? 1 : 0) || a[0] - b[0];
  }

  function draw(body, trace, step, key) {
    empty(body);
    if (!step.up.length) { add(body, make('p', 'sv-fold-note', 'Nothing was drafted at this step.')); return; }
    const table = make('table', 'sv-plot-table'), head = make('tr', ''), lines = make('tbody', '');
    columns.forEach((name, column) => {
      const button = makeButton('sv-sort', name), cell = make('th', '');
      cell.scope = 'col';
      cell.setAttribute('aria-sort', order[0] !== column ? 'none' : order[1] > 0 ? 'ascending' : 'descending');
      button.addEventListener('click', () => { order = [column, order[0] === column ? -order[1] : 1]; draw(body, trace, step, key); body.querySelectorAll('.sv-sort')[column].focus(); });
      add(head, add(cell, button));
    });
    for (const [node, text, depth, parent, status, q, p] of rowsOf(trace, step).sort(compare)) {
      const line = make('tr', String(node) === key ? 'is-chosen' : ''), pick = make('button', 'sv-open', spelled(text)), cell = make('td', '');
      pick.type = 'button';
      pick.addEventListener('click', () => onPick(String(node), false));
      add(line, makeHead(String(node), '', 'row'), add(cell, add(make('bdi', ''), pick)));
      for (const value of [depth, parent < 0 ? 'root' : parent, status, probability(q), probability(p)]) add(line, make('td', '', String(value)));
      lines.appendChild(line);
    }
    add(body, add(make('div', 'sv-chart-table'), add(table, make('caption', 'sv-visually-hidden', 'Nodes of step ' + step.n), add(make('thead', ''), head), lines)));
  }

  return fold;
}
