// A race on screen: status, shared clock, lanes, and the board below them. Fed numbered deltas; asks for a snapshot when
// one is missing. While it runs, lanes fill one after another; when it has ended, they replay together.

import { goto, linkTo, note, place } from './address.js';
import { makeBoard, makeCopy } from './board.js';
import { makeClock } from './clock.js';
import { add, empty, make, makeAlert, shown, tell } from './dom.js';
import { methodStyles } from './drawings.js';
import { makeLane } from './lane.js';
import { makeLegend } from './legend.js';
import { loadPlotly } from './plot.js';
import { PLOTLY } from './plotly.js';
import { followStream } from './stream.js';

/** @param {import('./component').Component} component */
export default function mountRace(component) {
const { element } = component;
const race = make('section', 'sv-stage sv-race');
const alertBox = makeAlert();
const recordedNote = Object.assign(make('p', 'sv-recorded'), { hidden: true });
const status = make('p', 'sv-status');
const statusText = make('span', 'sv-status-text');
const statusMeta = make('span', 'sv-status-meta');
const order = make('p', 'sv-race-order');
const links = make('p', 'sv-race-links');
const linkSaid = make('span', 'sv-board-said');
const legend = makeLegend(race);
const laneList = make('div', 'sv-lanes');
const spoken = make('p', 'sv-visually-hidden');
const clock = makeClock(showAt);
const board = makeBoard(stylesOfLanes, (index, step) => inspect(index, step));
let lanes = [];
let state = { ids: [], keys: [], rows: [] };

function stylesOfLanes(keys) {
  const styles = methodStyles(keys);
  return keys.map((key) => styles[key]);
}

function inspect(index, step) { goto({ view: 'inspect', run: state.ids[index], step }); }

function build() {
  spoken.setAttribute('role', 'status');
  linkSaid.setAttribute('role', 'status');
  add(status, add(make('span', 'sv-status-line'), make('span', 'sv-dot'), statusText), statusMeta);
  add(links, make('span', 'sv-race-saved'), makeCopy('Copy link', 'Copy link to this race', () => linkTo({ view: 'compare', ids: state.recorded ? 'recorded' : state.ids }), linkSaid), linkSaid);
  add(race, alertBox, recordedNote, status, order, clock.node, legend, laneList, board.node, links, spoken);
  element.appendChild(race);
  showPhase('idle');
  // The library is there before a run is timed: reading it takes a while, maybe on the machine that decodes.
  const seen = new IntersectionObserver(([found]) => { if (found.isIntersecting) { seen.disconnect(); loadPlotly(PLOTLY); } });
  seen.observe(race);
}

// Nothing but the status before a race; the clock after it.
function showPhase(phase) {
  const isOver = phase === 'ended' && lanes.length > 0;
  race.dataset.phase = { racing: 'running', ended: 'finished' }[phase] || phase;
  clock.node.hidden = !isOver || !lanes.some((lane) => lane.length);
  board.node.hidden = !lanes.length;
  links.hidden = !isOver;
  legend.hidden = !lanes.length;
}

function show(message) {
  if (message.race) Object.assign(state, message.race, { rows: message.rows });
  const isSame = message.snapshot && lanes.length === state.ids.length && race.dataset.ids === state.ids.join();
  if ((message.reset || message.lanes.length !== lanes.length) && !isSame) reset();
  message.lanes.forEach((steps, index) => lanes[index].append(message.snapshot ? steps.slice(lanes[index].length) : steps));
  if (message.race) showStatus();
  if (message.charts) board.drawCharts(message.charts, state.ids.join());
  if (message.board) finish(message.board);
  if (message.spoken) spoken.textContent = message.spoken;
}

function reset() {
  clock.pause();
  empty(laneList);
  race.dataset.ids = state.ids.join();
  lanes = stylesOfLanes(state.keys).map((style, index) => makeLane(style, state.ids[index], () => inspect(index)));
  laneList.dataset.count = lanes.length;
  tell(recordedNote, state.recorded);
  for (const lane of lanes) add(laneList, lane.node);
  board.clear();
}

function showStatus() {
  statusText.textContent = state.text;
  statusMeta.textContent = state.meta;
  order.textContent = shown(state.order);
  order.hidden = state.order === '';
  state.rows.forEach((row, index) => lanes[index].update(row));
  links.querySelector('.sv-race-saved').textContent = state.recorded ? 'A recording that comes with the program.' : state.isSaved ? 'Saved as one group of runs.' : 'Shown side by side from saved runs.';
  showPhase(state.phase);
}

function finish(found) {
  for (const lane of lanes) lane.flush();
  board.draw(found, state.rows, state.keys, state.ids.join());
  clock.open(Math.max(0, ...lanes.map((lane) => lane.end)));
  if (place().view === 'compare' && !state.recorded) note({ view: 'compare', ids: state.ids });
}

function showAt(ms, total) {
  for (const lane of lanes) lane.showAt(ms);
  board.showAt(ms, total);
}

build();
followStream(component, { show, alert: (text) => tell(alertBox, text), begin() {}, isTaken: () => lanes.length > 0 });
return { race, isEmpty: () => lanes.length === 0 };
}
