// One step's draft tree as plain numbers: depths, children in drawing order, rows; and what happened in words.
// Reads the columns of specviz/showing/trace.py; draws nothing.

import { probability, spelled } from './dom.js';
import { isolated } from './writing.js';

export const STATUS = ['accepted', 'rejected', 'unreached'];
const MOST_NODES = 80;
export const SPOKEN = { accepted: 'accepted', rejected: 'rejected', unreached: 'never considered', correction: 'target correction', bonus: 'bonus', plain: 'target' };

export function depthsOf(step) {
  const depths = [];
  for (const parent of step.up) depths.push(parent < 0 ? 1 : depths[parent] + 1);
  return depths;
}

// Entry i + 1 holds the children of node i, entry 0 those of the root; likeliest under the drafter first.
function childrenOf(step) {
  const children = step.up.map(() => []).concat([[]]);
  step.up.forEach((parent, index) => children[parent + 1].push(index));
  for (const siblings of children) siblings.sort((a, b) => (step.q[b] ?? 0) - (step.q[a] ?? 0) || a - b);
  return children;
}

function sizeBelow(children, node) {
  return children[node + 1].reduce((sum, child) => sum + 1 + sizeBelow(children, child), 0);
}

// Places in a grid: column is depth, row is counted over the leaves from the top, a parent stands beside its first
// child. Depth and draft probability decide, so a node keeps its place from step to step; the target's own token
// ('next') stands first where it ended the path. In a large tree what hangs below an unreached node is folded away.
export function placed(step) {
  const children = childrenOf(step);
  const isLarge = step.up.length > MOST_NODES;
  const places = new Map();
  const folded = new Map();
  const last = step.path.length ? step.path[step.path.length - 1] : -1;
  const hasNext = step.k.length > 0 && step.k[step.k.length - 1].node === null;
  let row = 0;
  function visit(node, column) {
    const isFolded = isLarge && node >= 0 && STATUS[step.s[node]] === 'unreached' && children[node + 1].length > 0;
    if (isFolded) folded.set(node, sizeBelow(children, node));
    const below = isFolded ? [] : children[node + 1];
    const own = row;
    const isLast = node === last && hasNext;
    if (isLast) places.set('next', { column: column + 1, row: own });
    below.forEach((child, index) => { if (index || isLast) row += 1; visit(child, column + 1); });
    places.set(node, { column, row: own });
  }
  visit(-1, 0);
  return { places, folded, children, rows: row + 1, columns: Math.max(0, ...[...places.values()].map((at) => at.column)) };
}

// Nodes from the root's child down to this one.
export function pathTo(step, node) {
  const path = [];
  for (let at = node; at >= 0; at = step.up[at]) path.unshift(at);
  return path;
}

// The place in this step's output that a node stood for, where its parent survived; else -1.
export function outputPlace(step, node) {
  const parent = step.up[node];
  const place = parent < 0 ? 0 : step.path.indexOf(parent) + 1;
  return (parent >= 0 && place === 0) || place >= step.k.length ? -1 : place;
}

// How likely the rule was to accept this node once it was reached; null where that is not a matter of chance.
export function survival(step, node, judgedBy) {
  const p = step.p[node], q = step.q[node];
  if (judgedBy === 'draw') return p;
  if (judgedBy === 'ratio') return p === null || !q ? null : Math.min(1, p / q);
  return null;
}

// How the rule weighed each draw of this node, [target ÷ draft, number drawn, overlap, residual mass]; null where the run does not say.
export function judgementsOf(step, node) {
  return step.j ? step.j.filter(([judged]) => judged === node).map(([, ...numbers]) => numbers) : null;
}

// What was weighed of a candidate, where the run says so; the last draw decided.
function weighed(step, node, is) {
  const [ratio, drawn] = (judgementsOf(step, node) || []).at(-1) || [null, null];
  if (ratio === null || drawn === null) return '. A first candidate passes with probability min(1, target ÷ draft) = ' + probability(survival(step, node, 'ratio'));
  return ': the number drawn, ' + drawn.toFixed(3) + ', is ' + is + ' ' + ratio.toFixed(3) + ', what is left of the target ÷ the draft';
}

export function quoted(text) { return '“' + isolated(spelled(text)) + '”'; }

// What became of a node and why, in a sentence or two.
export function reasonOf(trace, step, node) {
  const name = quoted(trace.pieces[step.t[node]]), status = STATUS[step.s[node]], place = outputPlace(step, node);
  if (status === 'unreached' && place < 0 && step.up[node] >= 0 && step.path.includes(step.up[node])) return name + ' was dropped: the output ended before its place.';
  if (status === 'unreached') return name + ' was never considered: what it follows did not survive.';
  const chosen = place < 0 ? null : step.k[place];
  const target = probability(step.p[node]);
  if (status === 'accepted') return acceptedBecause(trace.run, name, target, step, node);
  if (judgementsOf(step, node)?.length === 0) return name + ' was never looked at: a candidate before it had passed.';
  if (chosen === null) return name + ' did not survive: the output ended here.';
  return rejectedBecause(trace, step, node, name, target, chosen);
}

function acceptedBecause({ rule, judgedBy }, name, target, step, node) {
  if (judgedBy === 'likeliest') return name + ' is the target’s likeliest token here (' + target + '), so it was accepted.';
  if (judgedBy === 'draw') return 'The target’s token here was drawn from its own distribution. The draw gave ' + name + ' (' + target + '), which was drafted, so it was accepted.';
  if (judgedBy === 'ratio') return name + ' passed its test' + weighed(step, node, 'below') + '.';
  return name + ' was accepted under rule ' + rule + '; the target gives it ' + target + '.';
}

function rejectedBecause(trace, step, node, name, target, chosen) {
  const other = quoted(trace.pieces[chosen.raw]), mass = probability(chosen.p), { rule, judgedBy } = trace.run;
  const instead = chosen.o === 'accepted' ? ', a sibling that was drafted too' : '';
  if (judgedBy === 'likeliest') return name + ' is not the target’s likeliest token here: the target gives it ' + target + ' and prefers ' + other + ' (' + mass + ')' + instead + '.';
  if (judgedBy === 'draw') return 'The target’s token here was drawn from its own distribution. The draw gave ' + other + ' (' + mass + ')' + instead + ', not ' + name + ' (' + target + ').';
  if (judgedBy === 'ratio') return name + ' failed its test' + weighed(step, node, 'not below') + '; the output went on with ' + other + instead + '.';
  return name + ' was rejected under rule ' + rule + '; the output went on with ' + other + '.';
}

// The step as a whole.
export function storyOf(trace, step) {
  const last = step.k[step.k.length - 1];
  const next = last && last.node === null ? last : null;
  const text = next && quoted(trace.pieces[next.raw]);
  if (!step.up.length) return 'Nothing was drafted: the target wrote ' + (text || 'nothing') + ' by itself.';
  const counts = step.up.length + ' drafted, ' + step.path.length + ' accepted';
  if (!next) return counts + '. The output ended inside the accepted path.';
  if (next.o === 'bonus') return counts + ': the path survived to its end, and the same pass gave ' + text + ' as a bonus.';
  return counts + '. The target put ' + text + ' in place of what it rejected.';
}

// A step in which something was rejected on the way, and one whose accepted path reached a leaf.
export function hasRejection(step) { return step.k.some((token) => token.o === 'correction'); }
export function isFullAccept(step) { return step.k.some((token) => token.o === 'bonus'); }
