// One run on screen: status, figures, text, charts, legend. Fed numbered deltas; asks for a snapshot when one is missing.

import { goto } from './address.js';
import { makeAsked } from './asked.js';
import { add, make, makeAlert, tell } from './dom.js';
import { makeFigures } from './figures.js';
import { makeLegend } from './legend.js';
import { makeLiveTree } from './livetree.js';
import { followStream } from './stream.js';
import { makeTiles } from './tiles.js';
import { makeTokens } from './tokens.js';

/** @param {import('./component').Component} component */
export default function mountStage(component) {
const { element, server } = component;
const stage = make('section', 'sv-stage');
const alertBox = makeAlert();
const status = make('p', 'sv-status');
const statusDot = make('span', 'sv-dot');
const statusText = make('span', 'sv-status-text');
const statusMeta = make('span', 'sv-status-meta');
const spoken = make('p', 'sv-visually-hidden');
const tiles = makeTiles();
const tokens = makeTokens(stage, { onPoint: (n) => live.point(n) });
const live = makeLiveTree(inspectStep);
const figures = makeFigures(inspectStep);
const given = makeAsked((run) => server.asked(run));
let numSteps = 0;
let waiting = []; // steps that are not drawn yet
let drawTimer = 0;
let mayDrawAt = 0;

function build() {
  spoken.setAttribute('role', 'status');
  spoken.setAttribute('aria-live', 'polite');
  add(status, add(make('span', 'sv-status-line'), statusDot, statusText), statusMeta);
  const paper = add(make('div', 'sv-paper'), makeLegend(stage), add(make('div', 'sv-paper-columns'), tokens.node, live.node));
  add(stage, alertBox, status, given.node, tiles.node, paper, figures.node, spoken);
  element.appendChild(stage);
}

function inspectStep(n) { if (stage.dataset.session) goto({ view: 'inspect', run: stage.dataset.session, step: n }); }

// On a narrow screen the stage lies below the controls: a run that begins there should be seen.
function bringIntoView() {
  const top = stage.getBoundingClientRect().top;
  if (stage.offsetParent !== null && (top > window.innerHeight * 0.6 || top < 0)) stage.scrollIntoView({ block: 'start' });
}

function showAlert(text) {
  tell(alertBox, text);
  if (text !== '') bringIntoView();
}

function show(message) {
  const isSameRun = message.snapshot && numSteps > 0 && message.status.session === stage.dataset.session;
  if (message.reset && !isSameRun) { clearSteps(); numSteps = 0; }
  if (message.status) showStatus(message.status);
  if (message.tiles) tiles.update(message.tiles);
  takeSteps(message.snapshot ? message.steps.slice(numSteps) : message.steps, message.snapshot || (message.status && !message.status.isPending));
  if (message.figures) figures.summarise(message.figures);
  if (message.status && !message.status.isPending) figures.settle();
  if (message.status) tokens.pending(message.status.isPending);
  if (message.spoken) spoken.textContent = message.spoken;
}

// A long paragraph takes time to lay out: drawing may use a quarter of the page's time, so that it stays quick to answer.
function takeSteps(steps, isLast) {
  numSteps += steps.length;
  waiting = waiting.concat(steps);
  const wait = mayDrawAt - performance.now();
  if (isLast || wait <= 0) drawSteps();
  else if (!drawTimer) drawTimer = window.setTimeout(drawSteps, wait);
}

function drawSteps() {
  const began = performance.now();
  window.clearTimeout(drawTimer);
  drawTimer = 0;
  showSteps(waiting.splice(0));
  mayDrawAt = performance.now() + 3 * (performance.now() - began);
}

function showSteps(steps) {
  if (!steps.length) return;
  tokens.append(steps);
  live.append(steps);
  figures.append(steps);
}

function clearSteps() {
  waiting = [];
  tokens.clear();
  live.clear();
  figures.clear();
}

function showStatus(next) {
  stage.dataset.phase = next.phase;
  stage.dataset.session = next.session;
  statusText.textContent = next.text;
  statusMeta.textContent = next.meta;
  given.show(server.asked && next.phase !== 'waiting' ? next.session : '');
}

build();
const stream = followStream(component, { show, alert: showAlert, begin: bringIntoView });
return { stage, status, tokens, stream, clearSteps, showSteps, counts: (n) => { numSteps = n; } };
}
