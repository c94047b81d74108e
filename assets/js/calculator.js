// What acceptance should bring: expected tokens a pass and expected speedup of a chain, and what a run says of both.
// Reads the columns of specviz/showing/trace.py; draws nothing.
//
// Leviathan, Kalman and Matias (2211.17192): a chain of γ drafts, each accepted with probability α, brings
// (1 - α^(γ+1)) / (1 - α) tokens a pass, and at a cost of c passes a draft a speedup of that ÷ (γ c + 1). With a rate of
// its own for each position, given that the one before was accepted, it is 1 + Σ_i Π_{j ≤ i} α_j. Costs: passes of one row.

import { depthsOf } from './drafttree.js';

export const MOST_DEPTH = 24;
const FEW_PLAIN = 3; // passes without a draft that a run must have to be measured by
const FEW_TRIED = 5; // tries of a position that its rate is known by
const NO_RUN = { rates: [], alpha: 0.7, gamma: 4, cost: 0.1, pass: 1, tokens: null, depth: null, numPlain: 0 };

// Of a step, which positions were tried along the path, and how many of them were accepted.
function triedIn(step) {
  const accepted = step.path.length, hasBelow = step.up.includes(accepted ? step.path[accepted - 1] : -1);
  return { accepted, tried: accepted + Number(hasBelow && step.k.length > accepted) };
}

// By position: of the steps that tried it, the share that accepted it.
export function ratesOf(steps) {
  const tried = [], accepted = [];
  for (const found of steps.filter((step) => step.up.length).map(triedIn)) {
    for (let i = 0; i < found.tried; i++) { tried[i] = (tried[i] || 0) + 1; accepted[i] = (accepted[i] || 0) + Number(i < found.accepted); }
  }
  return tried.map((count, i) => ({ tried: count, rate: accepted[i] / count }));
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function mean(numbers) { return numbers.reduce((sum, number) => sum + number, 0) / numbers.length; }

// What a run measured: { rates by position, alpha of all, gamma: its mean depth, rounded, cost of a drafted position,
// pass: over a draft ÷ over one row, tokens a pass, depth: the mean itself }. Costs are of its passes without a draft where
// it has some, else of all, a pass over a draft being taken to cost no more.
export function measuredIn(steps) {
  const drafted = steps.filter((step) => step.up.length), plain = steps.filter((step) => !step.up.length);
  const rates = ratesOf(steps), tried = rates.reduce((sum, rate) => sum + rate.tried, 0);
  if (!tried) return NO_RUN;
  const depths = drafted.map((step) => Math.max(...depthsOf(step))), depth = mean(depths);
  const isPriced = plain.length >= FEW_PLAIN, targetMs = (found) => found.map((step) => step.ms[1]);
  const passMs = median(targetMs(drafted)), unit = isPriced ? median(targetMs(plain)) : passMs;
  return {
    rates, alpha: rates.reduce((sum, { rate, tried: count }) => sum + rate * count, 0) / tried, depth,
    gamma: Math.min(MOST_DEPTH, Math.max(1, Math.round(depth))), numPlain: isPriced ? plain.length : 0,
    cost: unit ? median(drafted.map((step, i) => step.ms[0] / depths[i])) / unit : NO_RUN.cost,
    pass: unit ? passMs / unit : 1, tokens: mean(steps.map((step) => step.k.length)),
  };
}

// The rate of a position, 1 the first: this run's, or α where it hardly tried it or all positions are taken to be alike.
export function rateFor({ rates, alpha, isByPosition }, position) {
  return isByPosition && rates[position - 1]?.tried >= FEW_TRIED ? rates[position - 1].rate : alpha;
}

export function tokensExpected(chosen, gamma) {
  let reached = 1, tokens = 1;
  for (let position = 1; position <= gamma; position++) { reached *= rateFor(chosen, position); tokens += reached; }
  return tokens;
}

export function speedExpected(chosen, gamma) {
  return gamma ? tokensExpected(chosen, gamma) / (gamma * chosen.cost + chosen.pass) : 1;
}

// The length of draft that is expected to be the fastest; 0: plain decoding.
export function bestDepth(chosen) {
  let best = 0;
  for (let gamma = 1; gamma <= MOST_DEPTH; gamma++) if (speedExpected(chosen, gamma) > speedExpected(chosen, best) + 1e-9) best = gamma;
  return best;
}

function fixed(number) { return number.toFixed(2); }

// What is chosen, in words.
export function calculated(chosen) {
  const { gamma } = chosen, best = bestDepth(chosen);
  const told = fixed(tokensExpected(chosen, gamma)) + ' tokens a pass, ' + fixed(speedExpected(chosen, gamma)) + ' × plain decoding';
  const bestTold = best ? 'Best: γ = ' + best + ', ' + fixed(speedExpected(chosen, best)) + ' ×.' : 'Best: γ = 0. At this cost no draft pays.';
  return 'γ = ' + gamma + ': ' + told + ' expected. ' + bestTold;
}

// What it takes for granted, in a line.
export function assumptions(run) {
  const pass = run.numPlain ? 'a pass over a draft costs ' + fixed(run.pass) + ' of one without (' + run.numPlain + ' such passes in this run)' : 'a pass over a draft costs no more than one without';
  return 'Assumed: a chain; each position is accepted by chance alone at its rate, whatever came before; ' + pass + '; host time and prefill are left out. Positions that this run tried fewer than ' + FEW_TRIED + ' times take α. Of a tree a position is a level: accepted if any of its nodes was.';
}

// The curve over γ, with what is chosen, the best, and this run's own point.
export function calculatorFigure(run, chosen) {
  const depths = Array.from({ length: MOST_DEPTH }, (_, i) => i + 1), best = bestDepth(chosen);
  const speeds = depths.map((gamma) => speedExpected(chosen, gamma)), tokens = depths.map((gamma) => tokensExpected(chosen, gamma));
  const own = run.tokens === null ? [] : [{ name: 'This run, measured tokens a pass', kind: 'points', role: 'bonus', isOpen: true, x: [run.depth], y: [run.tokens], labels: [fixed(run.tokens) + ' tokens a pass at a mean depth of ' + fixed(run.depth)] }];
  return {
    kind: 'lines', title: 'Expected over the length of the draft', terms: ['acceptance-probability', 'depth', 'cost-ratio'], revision: 'calculator',
    x: { title: 'Draft length γ', unit: 'tokens', range: [0, Math.min(MOST_DEPTH, Math.max(10, 2 * chosen.gamma, 2 * best)) + 0.5] }, y: { title: 'Tokens a pass; times plain decoding', zero: true },
    marks: [{ y: 1, text: 'plain decoding' }, ...(best ? [{ x: best, text: ' best γ ' + best }] : [])],
    series: [
      { name: 'Tokens a pass', role: 'target', x: depths, y: tokens }, { name: 'Speedup', role: 'accepted', x: depths, y: speeds },
      { name: 'Chosen γ', kind: 'points', role: 'rejected', x: [chosen.gamma], y: [speedExpected(chosen, chosen.gamma)] }, ...own,
    ],
    table: { head: ['γ', 'Rate of position γ', 'Tokens a pass', 'Speedup'], rows: depths.map((gamma, i) => [gamma, rateFor(chosen, gamma).toFixed(3), tokens[i].toFixed(3), speeds[i].toFixed(3)]) },
  };
}
