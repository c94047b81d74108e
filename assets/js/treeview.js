// The draft tree of a step in the page's chart component: layers from left to right. Any node by mouse or keyboard.

import { add, make, probability, spelled } from './dom.js';
import { placed, SPOKEN, STATUS, storyOf } from './drafttree.js';
import { makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';
import { HEADS, MARGIN, pitchOf, ROW, treeDrawing } from './treedrawing.js';

// options: { onPick(key): a node's index, '-1' the root, 'next' the token that the target added;
// onPress(key) where a press means more than choosing }.
export function makeTree(options) {
  const holder = make('div', 'sv-tree');
  const chart = makePlot({ path: PLOTLY, what: 'tree', isScrolled: true, isMoving: true, drawing: treeDrawing, walk, onReset: resetZoom,
    onPick: ({ key }) => (options.onPress || options.onPick)(key), onEnter: () => (options.onPress || options.onPick)(chosen) });
  let trace = null;
  let step = null;
  let layout = null;
  let room = { columns: 1, rows: 1 };
  let rootText = '';
  let chosen = null;
  let numZooms = 0;
  let isDue = false;
  let width = 0;
  add(holder, chart.node);
  new ResizeObserver(([{ contentRect }]) => { width = contentRect.width; if (step) drawSoon(); }).observe(chart.scroller);

  // One drawing for all that is said in one go.
  function drawSoon() {
    if (isDue) return;
    isDue = true;
    queueMicrotask(() => { isDue = false; chart.draw(figure()); });
  }

  function figure() {
    const spoken = 'Draft tree of step ' + step.n + '. ' + storyOf(trace, step) + ' Arrow keys go from node to node.';
    return { step, texts: trace.pieces, rootText, chosen, room: { ...room }, pitch: pitch(), revision: (trace.run?.id || '') + numZooms, spoken, file: 'specviz-step-' + step.n, hasNoNumbers: true, ...layout };
  }

  // Measured when it changes: asking at every step would lay the page out once more.
  function pitch() {
    width = width || chart.scroller.clientWidth;
    return pitchOf(room, width || 700);
  }

  function resetZoom() { numZooms += 1; drawSoon(); }

  // `roomOfRun`: of all trees that are to be drawn to this scale.
  function draw(nextTrace, nextStep, nextRoot, roomOfRun) {
    [trace, step, rootText, room, chosen] = [nextTrace, nextStep, nextRoot, roomOfRun, null];
    layout = placed(step);
    drawSoon();
  }

  function choose(key) {
    chosen = layout.places.has(key === 'next' ? key : Number(key)) ? key : '-1';
    drawSoon();
    return chosen;
  }

  // What is chosen is seen: the scroller moves as far as it must.
  function bringNear({ column, row }) {
    const box = chart.scroller, left = MARGIN.left + column * pitch(), top = HEADS + MARGIN.top + row * ROW;
    if (left < box.scrollLeft + 60 || left > box.scrollLeft + box.clientWidth - 60) box.scrollLeft = left - box.clientWidth / 2;
    if (top < box.scrollTop + 50 || top > box.scrollTop + box.clientHeight - 30) box.scrollTop = top - box.clientHeight / 2;
  }

  function walk(arrow) {
    options.onPick(neighbour(step, layout, chosen ?? '-1', arrow));
    bringNear(layout.places.get(chosen === 'next' ? chosen : Number(chosen)));
    return spokenNode(trace, step, chosen, rootText);
  }

  return { node: holder, head: chart.head, tools: chart.tools, draw, choose, walk };
}

// Right: first child. Left: parent. Down and up: the next mark of the same column.
export function neighbour(step, { places, children }, key, arrow) {
  const node = key === 'next' ? null : Number(key), last = step.path.length ? step.path[step.path.length - 1] : -1;
  if (arrow === 'ArrowLeft') return String(node === null ? last : node < 0 ? -1 : step.up[node]);
  if (arrow === 'ArrowRight') {
    const below = node === null ? [] : children[node + 1].filter((child) => places.has(child));
    if (below.length) return String(below[0]);
    return node === last && places.has('next') ? 'next' : key;
  }
  const { column } = places.get(node === null ? 'next' : node);
  const same = [...places].filter(([, at]) => at.column === column).sort((a, b) => a[1].row - b[1].row).map(([name]) => String(name));
  const place = same.indexOf(key) + (arrow === 'ArrowDown' ? 1 : -1);
  return same[Math.min(same.length - 1, Math.max(0, place))];
}

function spokenNode(trace, step, key, rootText) {
  if (key === '-1') return 'Root: ' + spelled(rootText) + ', the last token before this step';
  const next = step.k[step.k.length - 1], node = Number(key);
  if (key === 'next') return spelled(trace.pieces[next.raw]) + ', ' + SPOKEN[next.o] + ', target ' + probability(next.p);
  return spelled(trace.pieces[step.t[node]]) + ', ' + SPOKEN[STATUS[step.s[node]]] + ', draft ' + probability(step.q[node]) + ', target ' + probability(step.p[node]);
}
