// Below the tree: what acceptance should bring, with this run's rates and costs in its sliders.

import { assumptions, calculated, calculatorFigure, measuredIn, MOST_DEPTH } from './calculator.js';
import { add, empty, make, makeButton } from './dom.js';
import { makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';
import { makeFold } from './steppanels.js';
import { explain } from './tooltip.js';

const SLIDERS = [
  { name: 'alpha', label: 'Acceptance probability α', term: 'acceptance-probability', min: 0, max: 0.99, step: 0.01 },
  { name: 'gamma', label: 'Draft length γ', term: 'depth', min: 1, max: MOST_DEPTH, step: 1 },
  { name: 'cost', label: 'Cost ratio c', term: 'cost-ratio', min: 0, max: 2, step: 0.01 },
];

export function makeCalculator() {
  const controls = make('div', 'sv-calculator-controls'), outcome = make('output', 'sv-calculator-outcome'), note = make('p', 'sv-fold-note');
  const chart = makePlot({ path: PLOTLY, name: 'specviz-calculator', height: 330 });
  const isByPosition = Object.assign(make('input', 'sv-check'), { type: 'checkbox' });
  const reset = makeButton('sv-tool', 'Back to this run', () => begin());
  const inputs = {};
  let run = null;
  let steps = null;

  function slider({ name, label, term, ...range }) {
    const input = Object.assign(make('input', 'sv-range'), { type: 'range', ...range }), value = make('output', 'sv-calculator-value');
    input.setAttribute('aria-label', label);
    input.addEventListener('input', () => { if (name === 'alpha') isByPosition.checked = false; redraw(); });
    inputs[name] = { input, value };
    return add(make('div', 'sv-calculator-row'), add(make('span', 'sv-calculator-label', label + ' '), explain(label, [term])), input, value);
  }

  function begin() {
    for (const { name } of SLIDERS) inputs[name].input.value = String(run[name]);
    isByPosition.checked = run.rates.length > 0;
    isByPosition.disabled = !run.rates.length;
    redraw();
  }

  function redraw() {
    const given = Object.fromEntries(SLIDERS.map(({ name, step }) => {
      const { input, value } = inputs[name], number = Number(input.value);
      value.textContent = number.toFixed(step < 1 ? 2 : 0);
      input.setAttribute('aria-valuetext', value.textContent);
      return [name, number];
    }));
    const chosen = { ...given, rates: run.rates, pass: run.pass, isByPosition: isByPosition.checked };
    outcome.textContent = calculated(chosen);
    chart.draw(calculatorFigure(run, chosen));
  }

  function build() {
    const byPosition = add(make('label', 'sv-calculator-check'), isByPosition, make('span', '', 'This run’s own rate for each position'));
    isByPosition.addEventListener('change', redraw);
    add(controls, byPosition, ...SLIDERS.map(slider), reset, outcome, note);
  }

  function draw(body, trace) {
    if (trace.steps === steps) return;
    steps = trace.steps;
    run = measuredIn(steps);
    if (!body.firstChild) add(empty(body), add(make('div', 'sv-acceptance-columns'), controls, chart.node));
    note.textContent = (run.tokens === null ? 'This run drafted nothing: the numbers are an example. ' : '') + assumptions(run);
    begin();
  }

  build();
  return makeFold('Calculator: what acceptance should bring', 'sv-calculator', draw);
}
