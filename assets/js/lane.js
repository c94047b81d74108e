// One lane of a race: its figures, its progress and its text. Live, it appends; in a replay it shows what was there at a
// time. Figures and words come from the server; only those of a moment in a replay are counted here.

import { add, make, makeButton, shown } from './dom.js';
import { makeSwatch } from './swatch.js';
import { ordinal, rateAt, stepsUntil } from './timeline.js';
import { makeTokens } from './tokens.js';

const LANE_PHASES = { idle: 'waits for its turn', preparing: 'warming up', running: 'running', auditing: 'comparing', finished: 'done', stopped: 'stopped', failed: 'failed', interrupted: 'interrupted' };

const DRAW_EVERY_MS = 300;

export function makeLane(style, runId, onInspect) {
  const node = make('article', 'sv-lane');
  const title = make('h2', 'sv-lane-title');
  const turn = make('span', 'sv-lane-turn');
  const speed = make('span', 'sv-lane-speed');
  const speedup = make('span', 'sv-lane-speedup');
  const verdict = make('span', 'sv-lane-verdict');
  const track = make('div', 'sv-lane-track');
  const bar = make('div', 'sv-lane-bar');
  const note = make('span', 'sv-lane-count');
  const problem = make('p', 'sv-lane-problem');
  const inspect = makeButton('sv-lane-inspect', 'Inspect', onInspect);
  const tokens = makeTokens(node);
  const log = [];
  const places = [];
  let card = {};
  let shownSteps = 0;
  let waiting = [];
  let timer = null;
  node.dataset.session = runId;
  node.style.setProperty('--light', style.light);
  node.style.setProperty('--dark', style.dark);
  track.setAttribute('role', 'progressbar');
  track.setAttribute('aria-valuemin', '0');
  const figures = add(make('p', 'sv-lane-figures'), add(make('span', ''), speed, make('span', 'sv-lane-unit', ' tok/s')), speedup, verdict);
  add(node, add(make('header', 'sv-lane-head'), makeSwatch(style), title, turn), figures, add(track, bar), add(make('p', 'sv-lane-state'), note, inspect), problem, tokens.node);

  function update(next) {
    card = next;
    title.textContent = shown(card.label);
    tokens.node.setAttribute('aria-label', 'Output of ' + card.label + ', token by token. Arrow keys move, Escape closes the card.');
    turn.textContent = card.turn ? 'ran ' + ordinal(card.turn) : '';
    speedup.textContent = card.speedup === '–' ? '' : '× ' + card.speedup;
    verdict.textContent = shown(card.verdict);
    verdict.className = 'sv-lane-verdict' + (card.tone ? ' is-' + card.tone : '');
    problem.textContent = shown(card.problem);
    problem.hidden = card.problem === '';
    inspect.hidden = card.emitted === 0;
    inspect.setAttribute('aria-label', 'Inspect ' + card.label);
    node.dataset.phase = card.phase;
    tokens.pending(card.phase === 'running');
    progress(card.emitted, card.speed, LANE_PHASES[card.phase] + (card.phase === 'finished' ? ' in ' + card.seconds + ' s' : ''));
  }

  function progress(emitted, rate, state) {
    const limit = card.limit || emitted;
    const most = card.phase === 'finished' ? card.emitted : limit;
    speed.textContent = rate;
    bar.style.width = (most ? Math.min(100, (100 * emitted) / most) : 0) + '%';
    track.setAttribute('aria-valuemax', String(most || 1));
    track.setAttribute('aria-valuenow', String(emitted));
    track.setAttribute('aria-label', 'Progress of ' + card.label);
    note.textContent = emitted + (card.phase === 'finished' && emitted === card.emitted ? '' : ' of ' + most) + ' tokens · ' + state;
  }

  // Laying out a long text takes a while: what comes within a moment is drawn at once.
  function append(steps) {
    waiting = waiting.concat(steps);
    if (waiting.length && timer === null) timer = setTimeout(flush, DRAW_EVERY_MS);
  }

  function flush() {
    clearTimeout(timer);
    timer = null;
    const steps = waiting;
    waiting = [];
    if (steps.length) draw(steps);
  }

  // Each step with the end of its elements, so that a time shows or hides a range of them.
  function draw(steps) {
    let emitted = log.length ? log[log.length - 1].emitted : 0;
    const indexOf = new Map();
    for (const step of steps) {
      indexOf.set(String(step.n), log.length);
      log.push({ at: step.at, emitted: (emitted += step.k.length), end: places.length });
    }
    let index = log.length - steps.length;
    for (const child of tokens.append(steps)) {
      if (child.dataset.step !== undefined) index = indexOf.get(child.dataset.step);
      places.push(child);
      log[index].end = places.length;
    }
    shownSteps = log.length;
  }

  // What was there at a time of the shared clock.
  function showAt(ms) {
    if (!log.length) return;
    const count = stepsUntil(log, ms);
    if (count !== shownSteps) reveal(count);
    const isOver = count === log.length;
    const emitted = count ? log[count - 1].emitted : 0;
    const rate = isOver ? card.speed : rateAt(emitted, ms);
    progress(emitted, rate, isOver ? LANE_PHASES[card.phase] + (card.phase === 'finished' ? ' in ' + card.seconds + ' s' : '') : 'running');
    node.classList.toggle('is-over', isOver);
  }

  function reveal(count) {
    const end = (steps) => (steps ? log[steps - 1].end : 0);
    const isForward = count > shownSteps;
    const [from, to] = isForward ? [end(shownSteps), end(count)] : [end(count), end(shownSteps)];
    for (let place = from; place < to; place += 1) places[place].classList.toggle('is-later', !isForward);
    shownSteps = count;
    tokens.node.scrollTop = tokens.node.scrollHeight;
  }

  return { node, update, append, flush, showAt, get length() { return log.length + waiting.length; }, get end() { return log.length ? log[log.length - 1].at : 0; } };
}
