// Both distributions of a place of a step, as far as the run recorded them: what they share, what was drawn, what is left.
// Reads the columns of specviz/showing/trace.py; draws nothing.
//
// A place is what follows a node, or the root (-1). p is the target's probability there, q the drafter's.

import { probability, spelled } from './dom.js';
import { quoted } from './drafttree.js';

const NEAR = 0.01, ROUNDED = 2e-6; // how far recorded numbers, of six decimals, may be from what follows from each other
export const DRAFTED = '▸ ';

// The node that the place of a chosen one lies behind.
export function placeOf(step, key) {
  if (key === 'next') return step.path.length ? step.path[step.path.length - 1] : -1;
  return Number(key) < 0 ? -1 : step.up[Number(key)];
}

// The token that the output has at a place; null where it came to an end, or never came by.
function emittedAt(step, parent) {
  const place = parent < 0 ? 0 : step.path.indexOf(parent) + 1;
  return parent >= 0 && place === 0 ? null : step.k[place] || null;
}

export function childrenAt(step, parent) { return step.up.flatMap((up, node) => (up === parent ? [node] : [])); }

// Tokens of which p or q is known, the likeliest first: { id, text, p, q, nodes: that hold it }. What is not known is null.
export function weighedAt(trace, step, parent) {
  const found = new Map();
  const put = (id, text, p, q, node) => {
    const token = found.get(id) || { id, text, p: null, q: null, nodes: [] };
    if (token.p === null) token.p = p;
    if (token.q === null) token.q = q;
    if (node !== undefined) token.nodes.push(node);
    found.set(id, token);
  };
  const law = (step.d || []).find(([above]) => above === parent), emitted = emittedAt(step, parent);
  for (const [text, id, p, q] of law ? law[1] : []) put(id, trace.pieces[text], p, q);
  for (const node of childrenAt(step, parent)) put(step.id[node], trace.pieces[step.t[node]], step.p[node], step.q[node], node);
  for (const [text, id, p] of emitted ? emitted.a : []) put(id, trace.pieces[text], p, null);
  if (emitted) put(emitted.id, trace.pieces[emitted.raw], emitted.p, null);
  return [...found.values()].sort((a, b) => Math.max(b.p ?? 0, b.q ?? 0) - Math.max(a.p ?? 0, a.q ?? 0) || a.id - b.id);
}

function sumOf(tokens, value) { return tokens.reduce((sum, token) => sum + (value(token) ?? 0), 0); }

// What none of these tokens has, of the target, the drafter or of what is left; null where nothing of it is known.
export function othersOf(tokens, name) {
  return tokens.some((token) => token[name] !== null) ? Math.max(0, 1 - sumOf(tokens, (token) => token[name])) : null;
}

// Σ min(p, q) between bounds: what is known of both is counted, the rest can share no more than either has. null without any q.
export function overlapBounds(tokens) {
  const both = tokens.filter(({ p, q }) => p !== null && q !== null);
  if (!both.length) return null;
  const low = Math.min(1, sumOf(both, ({ p, q }) => Math.min(p, q)));
  const rest = Math.min(1 - sumOf(both, ({ p }) => p), 1 - sumOf(both, ({ q }) => q));
  return [low, Math.min(1, low + Math.max(0, rest))];
}

// The draws below a place that the rule examined, in their order: { node, ratio, drawn, overlap, left, chance, isAccepted }.
export function drawsAt(step, parent) {
  return (step.j || []).filter(([node]) => step.up[node] === parent).map(([node, ratio, drawn, overlap, left, chance = null]) => (
    { node, ratio, drawn, overlap, left, chance, isAccepted: step.path.includes(node) }));
}

// The overlap here: [low, high], equal where the rule recorded it. k-SEQ's own is with p ÷ ρ, and another number.
export function overlapAt(trace, step, parent) {
  const [first] = drawsAt(step, parent);
  if (first && first.overlap !== null && trace.run.rule !== 'k_seq') return [first.overlap, first.overlap];
  return overlapBounds(weighedAt(trace, step, parent));
}

// p of each token once the draws that were examined here have failed, one behind the other; null where the recorded
// ratios do not follow from p and q, as where siblings were drawn otherwise.
function leftInTurn(step, tokens, draws, isReplaced) {
  const left = tokens.map(({ p, q }) => (p === null || q === null ? null : p)), gone = new Set();
  let taken = 0;
  for (const { node, ratio, overlap } of draws) {
    const at = tokens.findIndex(({ id }) => id === step.id[node]), law = ({ id, q }) => (gone.has(id) ? 0 : q / (1 - taken));
    if (left[at] === null || overlap === null || ratio === null) return null;
    if (Math.abs(left[at] - ratio * law(tokens[at])) > NEAR * left[at] + ROUNDED * (1 + ratio)) return null;
    const after = tokens.map((token, place) => (left[place] === null ? null : overlap < 1 ? Math.max(0, left[place] - law(token)) / (1 - overlap) : 0));
    left.splice(0, left.length, ...after);
    if (!isReplaced) { gone.add(tokens[at].id); taken += tokens[at].q; }
  }
  return left;
}

// How much of the chain above a place is to hold under block verification: P_i = min(1, P_{i-1} p ÷ q).
function heldShare(step, parent) {
  const above = [];
  for (let node = parent; node >= 0; node = step.up[node]) above.unshift(node);
  return above.reduce((share, node) => (step.q[node] ? Math.min(1, (share * step.p[node]) / step.q[node]) : 0), 1);
}

// What a correction here is drawn from once all that was examined has failed, token by token; null where the rule has no
// residual, or the run does not say enough.
export function residualAt(trace, step, parent) {
  const tokens = weighedAt(trace, step, parent), draws = drawsAt(step, parent), { rule } = trace.run;
  if (!draws.length) return null;
  const each = (left) => tokens.map(({ p, q }) => (p === null || q === null ? null : left(p, q)));
  if (rule === 'rejection' || rule === 'with_replacement') return leftInTurn(step, tokens, draws, rule === 'with_replacement');
  if (rule === 'k_seq') {
    const { node, ratio, overlap } = draws[0], rho = step.p[node] / (step.q[node] * ratio);
    return Number.isFinite(rho) && rho * overlap < 1 ? each((p, q) => Math.max(0, p - rho * q) / (1 - rho * overlap)) : null;
  }
  const [{ left, chance }] = draws, share = heldShare(step, parent);
  return chance !== null && left > 0 ? each((p, q) => Math.max(0, share * p - q) / left) : null;
}

// What each lossy rule lets pass, and the share of a token's probability that it moved at places of the story model with
// four drafts, at temperature 0.7 and at 1 (docs/verification.md).
const LOSSY = {
  typical: ['what the target finds plausible enough passes, by a bound that falls where it is unsure', '8 % and 14 %'],
  above_threshold: ['the target’s own draw passes where it was drafted, else the likeliest draft that the target gives 30 % or more', '0.9 % and 1.0 %'],
  among_top: ['the target’s own draw passes where it was drafted, else the likeliest draft among its three likeliest tokens', '11 % and 11 %'],
};

function lossySentence([passes, moved]) {
  return 'Lossy: ' + passes + '. The output need not have the target’s distribution: measured on the story model with four drafts a place, ' + moved + ' of a token’s probability went elsewhere at temperature 0.7 and 1.';
}

function drawSentence(tokens, rule) {
  const share = probability(Math.min(1, sumOf(tokens.filter(({ nodes }) => nodes.length), ({ p }) => p)));
  const how = rule === 'likeliest_drafts' ? 'The drafts, the drafter’s likeliest tokens, know nothing of that draw and hold it with probability ' + share + '.'
    : 'The target gives the drafts here ' + share + ' in all; the drafter runs the same race with the same noise, so both agree more often than that.';
  return 'The target draws its own token; a draft that holds it is accepted, else the draw itself is the correction, so there is no residual. ' + how;
}

function seqSentence(draws) {
  const { overlap } = draws[0];
  return 'Independent draws are tried one behind the other, each passing with min(1, target ÷ (ρ × draft)), over all draws with ' + probability(overlap) + '. If none does, the correction is drawn from max(0, target − ρ × draft), normalised.';
}

function ratioSentence(rule, first, numDrafts) {
  const again = rule === 'with_replacement' ? ' Each further draw is weighed against what is left; the same token again has nothing to pass with.' : ' Siblings are weighed against what is left, and are drawn from what the drafter has left.';
  const rest = first.overlap < 1 ? ' If it fails, the target goes on with max(0, target − draft) ÷ Z, where Z = 1 − overlap = ' + probability(1 - first.overlap) + '.' : '';
  return 'A draft passes if the number drawn is below target ÷ draft: over all draws with probability Σ min(target, draft).' + rest + (numDrafts > 1 ? again : '');
}

// How the rule of this run decides at this place, in a sentence or two.
export function ruleSentence(trace, step, parent) {
  const tokens = weighedAt(trace, step, parent), draws = drawsAt(step, parent), { rule, judgedBy } = trace.run;
  if (!childrenAt(step, parent).length) return 'Nothing was drafted for this place: the target’s own token stands here.';
  if (judgedBy === 'likeliest') return 'Greedy: the draft that holds the target’s likeliest token is accepted, and chance plays no part. The overlap is what sampling at temperature 1 would accept.';
  if (rule in LOSSY) return lossySentence(LOSSY[rule]);
  if (judgedBy === 'draw') return drawSentence(tokens, rule);
  if (!draws.length) return emittedAt(step, parent) === null ? 'Never examined: what stands above did not survive.' : 'This run does not say how its draws were weighed here.';
  if (rule === 'k_seq') return seqSentence(draws);
  if (draws[0].chance !== null) return 'The chain is judged as a whole: as far as this node it holds with ' + probability(draws[0].chance) + ', and the longest part that holds is kept, also where a shorter one would not. Behind it the correction is drawn from max(0, P × target − draft), normalised, P being what is to hold of the part.';
  return ratioSentence(rule, draws[0], childrenAt(step, parent).length);
}

// What became of a draw, in words.
export function drawWords(trace, step, { node, ratio, drawn, chance, isAccepted }) {
  const name = quoted(trace.pieces[step.t[node]]), bound = chance ?? ratio;
  if (bound === null || drawn === null) return name + ': the run does not say.';
  const side = drawn < bound ? ' is below ' : ' is not below ';
  return name + ': ' + drawn.toFixed(3) + side + bound.toFixed(3) + (isAccepted ? ', accepted' : ', not accepted');
}

// Names of tokens that differ, for an axis; those that were drafted are marked.
export function tokenNames(tokens) {
  const names = tokens.map(({ text, nodes }) => { const name = spelled(text); return (nodes.length ? DRAFTED : '') + (name.length > 16 ? name.slice(0, 15) + '…' : name); });
  return names.map((name, place) => (names.indexOf(name) === names.lastIndexOf(name) ? name : name + ' #' + tokens[place].id));
}
