// A draft tree as traces of plotly.js: edges, the accepted path, the chosen node, nodes with their labels. Status by
// shape and colour, a node's area by its draft probability, an edge's width by its target probability. Token texts are
// anybody's: all pass through `plain`. Draws nothing.

import { probability, spelled } from './dom.js';
import { placed, SPOKEN, STATUS } from './drafttree.js';
import { dragOf, FONT, hoverLabel, isDark, pageShade, plain, shade } from './drawings.js';
import { PALETTE } from './palette.js';

const NARROWEST = 104;
const WIDEST = 168;
export const ROW = 46;
export const HEADS = 18;
export const MARGIN = { left: 46, top: 30, right: 60, bottom: 20 };
const LONGEST_LABEL = 12;
const DEEP = 12;
const CURVE = Array.from({ length: 14 }, (_, place) => (place + 1) / 14);
const EDGE_WIDTHS = [0.8, 3, 5.6];

// Most tokens begin with a space: it is left out where something follows.
function shortLabel(text, isWhole = false) {
  const label = spelled(!isWhole && /^ \S/.test(text) ? text.slice(1) : text);
  return [...label].length > LONGEST_LABEL ? [...label].slice(0, LONGEST_LABEL - 1).join('') + '…' : label;
}

// Of each mark; where two below one node would look alike, their spaces stay.
function labelsOf(marks) {
  const labels = marks.map(({ text }) => shortLabel(text));
  const isTwin = (mark, label) => marks.some((other, place) => labels[place] === label && other.up === mark.up && other.text !== mark.text);
  return marks.map((mark, place) => (isTwin(mark, labels[place]) ? shortLabel(mark.text, true) : labels[place]));
}

function radius(q) { return q === null || q === undefined ? 7 : 4.5 + 7 * Math.sqrt(q); }

// plotly.js gives a trace one width, and each trace takes time: probabilities share three.
function thickness(p) {
  const wanted = p === null || p === undefined ? 1.5 : 0.8 + 5.2 * p;
  return EDGE_WIDTHS.reduce((best, width) => (Math.abs(width - wanted) < Math.abs(best - wanted) ? width : best));
}

function tint(colour, share) {
  return 'rgba(' + [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)).join(',') + ',' + share + ')';
}

// How nodes of each status look: symbol, fill, line and its width.
function looks() {
  const ink = pageShade('ink'), sheet = pageShade('sheet'), state = (name) => shade(PALETTE.states[name]);
  const own = ['square', sheet, ink, 2.2];
  return {
    root: ['square', ink, ink, 1], accepted: ['circle', state('accepted'), state('accepted'), 1], rejected: ['circle-x', sheet, state('rejected'), 1.6],
    unreached: ['circle', sheet, pageShade('soft'), 1.3], correction: own, plain: own, bonus: ['diamond', state('bonus'), ink, 1.2],
  };
}

function edgeLine(kind, width) {
  const colours = { rejected: shade(PALETTE.states.rejected), unreached: pageShade('strong-line'), accepted: shade(PALETTE.states.accepted), bonus: shade(PALETTE.states.bonus) };
  return { color: colours[kind] || pageShade('ink'), width, dash: { rejected: '2px,4px', unreached: '1px,3px' }[kind] || 'solid' };
}

// Root, nodes and the target's own token ('next') in drawing order, as { key, at, up, kind, r, p, q, text }.
function marksOfTree({ step, texts, rootText, places }) {
  const marks = [{ key: '-1', at: places.get(-1), kind: 'root', r: 6, text: rootText }];
  for (const [node, at] of places) {
    if (node === 'next' || node < 0) continue;
    marks.push({ key: String(node), at, up: places.get(step.up[node]), kind: STATUS[step.s[node]], r: radius(step.q[node]), p: step.p[node], q: step.q[node], text: texts[step.t[node]] });
  }
  const at = places.get('next');
  if (!at) return marks;
  const next = step.k[step.k.length - 1], up = places.get(step.path.length ? step.path[step.path.length - 1] : -1);
  return [...marks, { key: 'next', at, up, kind: next.o, r: 7, p: next.p, text: texts[next.raw] }];
}

// Points behind the first one of a line that leaves and arrives level.
function curve(from, to) {
  if (from.row === to.row) return [[to.column, to.row]];
  return CURVE.map((t) => {
    const s = 1 - t, bend = 3 * s * t, share = t * t * (3 - 2 * t);
    return [s * s * s * from.column + bend * (from.column + 0.45) + t * t * t * to.column, from.row + share * (to.row - from.row)];
  });
}

// All lines of one look in one trace, a gap between each two. There is a trace for each look in every step, drawn or not:
// where their number stays, plotly.js moves them and draws nothing else anew.
function edgeTraces(marks) {
  const last = marks.find(({ key }) => key === 'next'), kind = last ? last.kind : 'plain', width = last ? thickness(last.p) : 1;
  const own = last ? [last] : [];
  return ['unreached', 'rejected', 'own', 'accepted'].flatMap((name) => {
    if (name === 'own') return [edgeTrace(own, edgeLine(kind, width))];
    return EDGE_WIDTHS.map((width) => edgeTrace(marks.filter((mark) => mark.up && mark.kind === name && thickness(mark.p) === width), edgeLine(name, width)));
  });
}

function edgeTrace(marks, line) {
  const x = [], y = [];
  for (const { up, at } of marks) for (const [column, row] of [[up.column, up.row], ...curve(up, at), [null, null]]) { x.push(column); y.push(row); }
  return { type: 'scatter', mode: 'lines', x: orNone(x), y: orNone(y), hoverinfo: 'skip', line: { ...line, simplify: false } };
}

// A trace without points is none to plotly.js: one point that is nowhere keeps it.
function orNone(values) { return values.length ? values : [null]; }

// A broad light band below the way from the root to the last accepted node.
function pathTrace({ step, places }) {
  const way = [-1, ...step.path].map((node) => places.get(node)), marks = way.slice(1).map((at, place) => ({ up: way[place], at }));
  return edgeTrace(marks, { color: tint(shade(PALETTE.states.accepted), isDark() ? 0.22 : 0.14), width: 22 });
}

// What is chosen lies below all others, ringed; with them, since each trace takes time. Its label is a blank: plotly.js drops
// the element of an empty one, and would miss it for another node.
function nodeTrace(marks, chosen) {
  const styles = looks(), ring = ['circle', tint(shade(PALETTE.states.accepted), 0.16), pageShade('ink'), 1.5];
  const rings = marks.filter(({ key }) => key === chosen).map((mark) => ({ ...mark, r: Math.max(mark.r + 5, 14), look: ring }));
  const drawn = [...rings, ...marks.map((mark) => ({ ...mark, look: styles[mark.kind] }))], of = (place) => drawn.map(({ look }) => look[place]);
  return {
    type: 'scatter', mode: 'markers+text', x: drawn.map(({ at }) => at.column), y: drawn.map(({ at }) => at.row), customdata: drawn.map(({ key }) => key), cliponaxis: false,
    marker: { symbol: of(0), size: drawn.map(({ r }) => 2 * r), color: of(1), line: { color: of(2), width: of(3) }, opacity: 1 },
    text: [...rings.map(() => ' '), ...labelsOf(marks).map(plain)], textposition: 'top center',
    textfont: { family: FONT, size: 12, color: drawn.map(({ kind }) => pageShade(kind === 'unreached' ? 'soft' : 'ink')) },
    hoverinfo: 'text', hovertext: drawn.map(hoverOfMark),
  };
}

function hoverOfMark({ key, kind, text, p, q }) {
  if (key === '-1') return plain(spelled(text)) + '<br>root: the last token before this step';
  return plain(spelled(text)) + '<br>' + SPOKEN[kind] + (q === undefined ? '' : '<br>draft ' + probability(q)) + '<br>target ' + probability(p);
}

// How many nodes are folded away behind a node.
function foldTrace(folded, places) {
  const found = [...folded];
  return {
    type: 'scatter', mode: 'text', x: found.map(([node]) => places.get(node).column + 0.13), y: found.map(([node]) => places.get(node).row), text: found.map(([, count]) => '+' + count),
    textposition: 'middle right', textfont: { family: FONT, size: 11, color: pageShade('soft') }, hoverinfo: 'skip',
  };
}

// Columns and rows that the trees of these steps need, so that all are drawn to one scale.
export function roomOf(steps) {
  const room = { columns: 1, rows: 1 };
  for (const step of steps) growRoom(room, placed(step));
  return room;
}

export function growRoom(room, { columns, rows }) {
  room.columns = Math.max(room.columns, columns);
  room.rows = Math.max(room.rows, rows);
}

// As wide as the widest tree of the run allows: columns stay where they are from step to step.
export function pitchOf(room, width) { return Math.min(WIDEST, Math.max(NARROWEST, (width - MARGIN.left - MARGIN.right) / room.columns)); }

function sizeOfTree(room, pitch) {
  return { width: Math.round(MARGIN.left + room.columns * pitch + MARGIN.right), height: HEADS + MARGIN.top + (room.rows - 1) * ROW + MARGIN.bottom };
}

// Every depth of a shallow tree, every fifth of a deep one: each name takes time to draw.
function depthsNamed(columns) {
  return Array.from({ length: columns }, (_, depth) => depth + 1).filter((depth) => columns <= DEEP || depth === 1 || depth % 5 === 0);
}

function treeLayout(figure) {
  const { room, pitch } = figure, depths = depthsNamed(room.columns);
  const still = { showgrid: false, zeroline: false, showline: false, ticks: '', automargin: false, autorange: false };
  return {
    ...sizeOfTree(room, pitch), autosize: false, font: { family: FONT, size: 12, color: pageShade('ink') }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    margin: { l: 0, r: 0, t: HEADS, b: 0, pad: 0 }, showlegend: false, hovermode: 'closest', dragmode: dragOf('zoom'), uirevision: figure.revision, hoverlabel: hoverLabel(),
    xaxis: { ...still, range: [-MARGIN.left / pitch, room.columns + MARGIN.right / pitch], side: 'top', tickmode: 'array', tickangle: 0, tickvals: depths, ticktext: depths.map((depth) => (depth === 1 ? 'depth 1' : String(depth))), tickfont: { size: 11, color: pageShade('soft') }, ticklabeloverflow: 'allow' },
    yaxis: { ...still, range: [room.rows - 1 + MARGIN.bottom / ROW, -MARGIN.top / ROW], visible: false },
  };
}

// figure: { step, texts, rootText, chosen, room, pitch, revision } and what `placed` says of the step.
export function treeDrawing(figure) {
  const marks = marksOfTree(figure);
  const folds = figure.folded.size ? [foldTrace(figure.folded, figure.places)] : [];
  const data = [pathTrace(figure), ...edgeTraces(marks), nodeTrace(marks, figure.chosen), ...folds];
  return { data, layout: treeLayout(figure) };
}
