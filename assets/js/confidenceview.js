// Below the tree: whether the drafter's own probabilities are what its tokens' acceptance makes of them.

import { confidenceFigure, confidenceTold, judgedOf } from './confidence.js';
import { add, make } from './dom.js';
import { makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';
import { makeFold } from './steppanels.js';

const CAUTION = 'Nodes are counted that were accepted or rejected; of siblings under an accepted parent at most one is accepted. At temperature 0 a node is accepted if it is the target’s likeliest token.';

export function makeConfidence() {
  const chart = makePlot({ path: PLOTLY, name: 'specviz-confidence', height: 330 });
  const outcome = make('p', 'sv-confidence-outcome'), note = make('p', 'sv-fold-note', CAUTION);
  let steps = null;

  function draw(body, trace) {
    if (trace.steps === steps) return;
    steps = trace.steps;
    const judged = judgedOf(steps);
    if (!body.firstChild) add(body, outcome, chart.node, note);
    outcome.textContent = confidenceTold(judged);
    chart.node.hidden = !judged.length;
    if (judged.length) chart.draw(confidenceFigure(judged));
  }

  return makeFold('Confidence: does the drafter know how sure it may be', 'sv-confidence', draw);
}
