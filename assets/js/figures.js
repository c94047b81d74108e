// Tokens and time per step as figures, from the same log as the text. A few redraws a second; a click leads to the step.

import { add, make } from './dom.js';
import { loadPlotly, makePlot } from './plot.js';
import { PLOTLY } from './plotly.js';

const REDRAW_MS = 400;
const LONGEST_WAIT_MS = 3000;
const MOST_BARS = 160; // more steps become areas: as many lines, not as many bars
const FEWEST_STEPS = 24;
const FIGURE_HEIGHT = 230;
const STEPS_OF_A_SPEED = 16;

// The height below which this share of the steps lies: a few slow ones do not flatten all others.
export function highest(heights, share) {
  const sorted = heights.slice().sort((a, b) => a - b);
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] : 1;
}

// What the target's own token of a step was; '' where the output ended inside the accepted path.
function ownKind(step) { return step.k.length > step.len ? step.k[step.k.length - 1].o : ''; }

// A scale of whole numbers with a handful of ticks.
function wholes(title, heights, ticks) { return { title, zero: true, every: Math.max(1, Math.ceil(Math.max(0, ...heights) / ticks)) }; }

// The first steps of a run do not fill the width, so that bars stand still while more come.
function stepsAxis(numbers) {
  const end = Math.max(FEWEST_STEPS, (numbers[numbers.length - 1] ?? 0) + 1);
  return { title: 'step', range: [-0.5, end - 0.5], every: Math.ceil(end / 8) };
}

function stepFigure(log, title, term, y, caption, parts, label) {
  const x = log.map((step) => step.n), labels = log.map(label);
  const series = parts.map(([name, value, more]) => ({ name, x, y: log.map(value), keys: x, labels, isSilent: true, ...more }));
  return { kind: log.length > MOST_BARS ? 'layers' : 'stacked', title, terms: [term], caption, hover: 'x', x: stepsAxis(x), y, series };
}

// Emitted tokens upwards by where they came from, drafted ones downwards on a scale of their own.
function tokenFigure(log, caption) {
  const own = (...kinds) => (step) => (kinds.includes(ownKind(step)) ? 1 : 0);
  const parts = [
    ['accepted', (step) => step.len, { role: 'accepted', isSilent: false }],
    ['correction or target', own('correction', 'plain'), { role: 'correction' }],
    ['bonus', own('bonus'), { role: 'bonus' }],
    ['drafted', (step) => step.drafted, { role: 'draft', isBelow: true, isSilent: false }],
  ];
  const label = (step) => 'step ' + step.n + ': ' + step.drafted + ' drafted, ' + step.len + ' accepted, ' + step.k.length + ' emitted';
  const figure = stepFigure(log, 'Tokens per step', 'emitted-tokens', wholes('emitted', log.map((step) => step.k.length), 4), caption, parts, label);
  return { ...figure, below: wholes('drafted', log.map((step) => step.drafted), 2), table: tableOfSteps(log, ['Drafted', 'Accepted', 'Emitted'], (step) => [step.drafted, step.len, step.k.length]) };
}

function timesOf(step) { return [step.ms[0], step.ms[1], step.verify, Math.max(0, step.ms[2] - step.verify)]; }

function timeFigure(log, caption) {
  const names = ['draft', 'target', 'verify', 'host'];
  const parts = names.map((role, place) => [role, (step) => timesOf(step)[place], { role, isSilent: place > 0, isHatched: role === 'verify' }]);
  const label = (step) => 'step ' + step.n + ': ' + timesOf(step).map((ms, place) => names[place] + ' ' + ms.toFixed(2)).join(', ') + ' ms';
  const top = 1.06 * (highest(log.map((step) => step.ms[0] + step.ms[1] + step.ms[2]), 0.98) || 1);
  const figure = stepFigure(log, 'Time per step', 'phase', { title: 'ms', range: [0, top] }, caption, parts, label);
  return { ...figure, table: tableOfSteps(log, ['Draft', 'Target', 'Verify', 'Host'], (step) => timesOf(step).map((ms) => ms.toFixed(2))) };
}

// Tokens ÷ time of each 16 steps in turn, the last ones fewer, at the seconds of their end; as the engine's report has it.
function speedsOf(log) {
  const found = [];
  for (let first = 0; first < log.length; first += STEPS_OF_A_SPEED) {
    const last = log[Math.min(log.length, first + STEPS_OF_A_SPEED) - 1];
    const tokens = log.slice(first, first + STEPS_OF_A_SPEED).reduce((sum, step) => sum + step.k.length, 0);
    const spent = last.at - (first ? log[first - 1].at : 0);
    if (spent > 0) found.push({ n: last.n, seconds: last.at / 1000, speed: (1000 * tokens) / spent });
  }
  return found;
}

function speedFigure(log) {
  const speeds = speedsOf(log);
  const labels = speeds.map(({ n, seconds, speed }) => 'up to step ' + n + ', ' + seconds.toFixed(2) + ' s: ' + speed.toFixed(1) + ' tokens/s');
  const line = { name: 'tokens/s', method: 'plain', x: speeds.map((found) => found.seconds), y: speeds.map((found) => found.speed), keys: speeds.map((found) => found.n), labels };
  return {
    kind: 'lines', title: 'Tokens/s over time', terms: ['tokens-per-second-over-time'], caption: 'Each point is ' + STEPS_OF_A_SPEED + ' steps, the last one what is left.', hover: 'x',
    x: { title: 'time inside the steps', unit: 's', zero: true }, y: { title: 'tokens/s', zero: true }, series: [line],
    table: { head: ['Up to step', 'Seconds', 'Tokens/s'], rows: speeds.map(({ n, seconds, speed }) => [n, seconds.toFixed(3), speed.toFixed(1)]) },
  };
}

function tableOfSteps(log, names, cells) {
  return { head: ['Step', ...names], get rows() { return log.map((step) => [step.n, ...cells(step)]); } };
}

export function makeFigures(onStep) {
  const holder = make('div', 'sv-figures');
  const charts = ['tokens', 'time', 'speed'].map((name) => makePlot({ path: PLOTLY, name: 'specviz-' + name, height: FIGURE_HEIGHT, onPick: ({ key }) => onStep(key) }));
  let log = [];
  let captions = { emitted: '', time: '' };
  let timer = null;
  let mayDrawAt = 0;
  add(holder, ...charts.map((chart) => chart.node));
  holder.hidden = true;

  // Drawing takes a tenth of the page's time at most: a model may decode beside it.
  async function draw() {
    timer = null;
    holder.hidden = !log.length;
    if (!log.length) return;
    await loadPlotly(PLOTLY);
    const began = performance.now();
    await Promise.all([charts[0].draw(tokenFigure(log, captions.emitted)), charts[1].draw(timeFigure(log, captions.time)), charts[2].draw(speedFigure(log))]);
    mayDrawAt = performance.now() + Math.min(LONGEST_WAIT_MS, Math.max(REDRAW_MS, 9 * (performance.now() - began)));
  }

  function schedule() {
    if (timer === null) timer = setTimeout(draw, Math.max(0, mayDrawAt - performance.now()));
  }

  // Nothing decodes any more: what waits is drawn.
  function settle() {
    if (timer === null) return;
    clearTimeout(timer);
    draw();
  }

  return {
    node: holder,
    append(steps) { log = log.concat(steps.filter((step) => step.k.length)); schedule(); },
    clear() { log = []; schedule(); },
    summarise(texts) { captions = texts; if (log.length) schedule(); },
    settle,
  };
}
