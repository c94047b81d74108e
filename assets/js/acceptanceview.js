// Beside the tree: how the rule decided at the chosen place, with both distributions. Folded; drawn while it is open.

import { childrenAt, DRAFTED, drawsAt, drawWords, othersOf, overlapAt, placeOf, residualAt, ruleSentence, tokenNames, weighedAt } from './acceptance.js';
import { add, empty, make, probability, spelled } from './dom.js';
import { makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';
import { makeFold } from './steppanels.js';
import { explain } from './tooltip.js';

const BAR_ROOM = 34, FRAME = 112; // pixels: of a token's bars, and of what stands around all of them
const OTHERS = 'all others';

const PARTLY = ' Where a bar of the draft is missing its probability was not recorded; it is among those.';

// Both distributions and what is left of the target's, the rest of each as one bar. null where there is nothing to draw.
export function acceptanceFigure(trace, step, parent) {
  const tokens = weighedAt(trace, step, parent), left = residualAt(trace, step, parent);
  const names = [...tokenNames(tokens), OTHERS];
  const values = (name) => [...tokens.map((token) => token[name]), othersOf(tokens, name)];
  const kinds = [{ name: 'Target', role: 'target', y: values('p') }, { name: 'Draft', role: 'draft', y: values('q') }];
  if (left) kinds.push({ name: 'Left for a correction', role: 'rejected', y: [...left, othersOf(left.map((l) => ({ l })), 'l')] });
  const series = kinds.filter(({ y }) => y.some((value) => value !== null)).map((kind) => (
    { ...kind, x: names, labels: kind.y.map((value, at) => names[at] + ', ' + probability(value)) }));
  if (!series.length) return null;
  return {
    kind: 'bars', isAcross: true, title: 'Target and draft at this place', terms: ['target-probability', 'residual'], revision: step.n + ' ' + parent, file: 'specviz-acceptance-' + step.n,
    caption: DRAFTED + 'drafted here. The last bars are what tokens have together that were not recorded.' + (tokens.some(({ q }) => q === null) ? PARTLY : ''),
    x: { title: '', categories: true }, y: { title: 'Probability', zero: true }, series,
    table: { head: ['Token', ...series.map(({ name }) => name)], rows: names.map((name, at) => [name, ...series.map(({ y }) => probability(y[at]))]) },
  };
}

// What is known of the overlap, and what is not.
export function overlapWords(trace, step, parent) {
  const bounds = overlapAt(trace, step, parent);
  if (bounds === null) return childrenAt(step, parent).length ? 'This run recorded no draft probabilities here: this drafter states none.' : '';
  const [low, high] = bounds, isExact = high - low < 0.0005;
  const told = isExact ? probability(low) : 'between ' + probability(low) + ' and ' + probability(high);
  const rest = isExact ? '' : ' (the drafter’s probabilities were recorded for some tokens only)';
  return 'Overlap Σ min(target, draft): ' + told + rest + '. So likely is one token drawn from the draft to pass rejection; the rest, ' + (isExact ? '' : 'at least ') + probability(1 - high) + ', is their total variation.';
}

function drawRow(trace, step, draw) {
  const bound = draw.chance ?? draw.ratio, row = make('li', draw.isAccepted ? 'is-accepted' : 'is-rejected');
  const bar = make('span', 'sv-draw-bar'), mark = make('span', 'sv-draw-mark');
  if (bound !== null && draw.drawn !== null) {
    bar.style.setProperty('--share', 100 * Math.min(1, bound) + '%');
    mark.style.setProperty('--at', 100 * draw.drawn + '%');
    bar.appendChild(mark);
  }
  bar.setAttribute('aria-hidden', 'true');
  return add(row, make('span', 'sv-draw-words', drawWords(trace, step, draw)), bar);
}

function titleOf(trace, step, parent) {
  return parent < 0 ? 'The place behind the root' : 'The place behind “' + spelled(trace.pieces[step.t[parent]]) + '” (node ' + parent + ')';
}

export function makeAcceptance() {
  const title = make('p', 'sv-panel-title'), rule = make('p', 'sv-fold-note'), overlap = make('span', '');
  const draws = make('ol', 'sv-draws'), chart = makePlot({ path: PLOTLY, name: 'specviz-acceptance' });
  const told = add(make('p', 'sv-fold-note'), overlap, document.createTextNode(' '), explain('Overlap', ['overlap']));
  draws.setAttribute('aria-label', 'The numbers drawn, and below what they had to be');
  const side = add(make('div', 'sv-acceptance-side'), title, rule, told, draws);
  const columns = add(make('div', 'sv-acceptance-columns'), side, chart.node);

  function draw(body, trace, step, key) {
    const parent = placeOf(step, key), figure = acceptanceFigure(trace, step, parent);
    if (columns.parentNode !== body) add(empty(body), columns);
    title.textContent = titleOf(trace, step, parent);
    rule.textContent = ruleSentence(trace, step, parent);
    overlap.textContent = overlapWords(trace, step, parent);
    told.hidden = !overlap.textContent;
    add(empty(draws), ...drawsAt(step, parent).map((each) => drawRow(trace, step, each)));
    draws.hidden = !draws.firstChild;
    chart.node.hidden = figure === null;
    if (figure === null) return;
    chart.resize(FRAME + BAR_ROOM * figure.series[0].x.length);
    chart.draw(figure);
  }

  return makeFold('Acceptance at this place', 'sv-acceptance', draw);
}
