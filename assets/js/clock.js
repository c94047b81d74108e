// The shared clock of a replay: play, pause, scrub, speed. Knows only milliseconds.

import { add, make, makeButton, makeOption } from './dom.js';
import { seconds } from './timeline.js';

const SPEEDS = [0.125, 0.25, 0.5, 1, 2, 4];
const SHORTEST_REPLAY_MS = 5000;
const PLACES = 500;
const LONGEST_FRAME_MS = 250;

// The quickest speed up to real time at which a replay of this length can be followed.
function speedFor(ms) { return [...SPEEDS].reverse().find((value) => value <= 1 && ms / value >= SHORTEST_REPLAY_MS) || SPEEDS[0]; }

function speedName(value) { return (value < 1 ? '1/' + 1 / value : value) + ' ×'; }

// Where the clock stands a frame later; a page that slept for long does not jump.
function clockAfter(now, passedMs, speed) { return now + Math.min(LONGEST_FRAME_MS, passedMs) * speed; }

export function makeClock(onTime) {
  const node = make('div', 'sv-clock');
  const button = makeButton('sv-clock-play');
  const slider = make('input', 'sv-range sv-clock-slider');
  const shownTime = make('output', 'sv-clock-time');
  const speedLabel = make('label', 'sv-clock-speed', 'Speed ');
  const speed = make('select', 'sv-input');
  let total = 0;
  let now = 0;
  let before = null;
  slider.type = 'range';
  Object.assign(slider, { min: 0, max: PLACES, step: 1 });
  slider.setAttribute('aria-label', 'Shared clock');
  node.setAttribute('role', 'group');
  node.setAttribute('aria-label', 'Replay');
  for (const value of SPEEDS) add(speed, makeOption(value, speedName(value)));
  speedLabel.appendChild(speed);
  add(node, button, slider, shownTime, speedLabel);

  function draw() {
    const isPlaying = before !== null;
    button.textContent = isPlaying ? '❚❚ Pause' : now >= total ? '▶ Replay' : '▶ Play';
    slider.value = total ? (PLACES * now) / total : PLACES;
    slider.setAttribute('aria-valuetext', seconds(now) + ' of ' + seconds(total));
    shownTime.textContent = seconds(now) + ' / ' + seconds(total);
  }

  function set(ms) {
    now = Math.min(total, Math.max(0, ms));
    if (now >= total) before = null;
    draw();
    onTime(now, total);
  }

  function tick(at) {
    if (before === null) return;
    const next = clockAfter(now, at - before, Number(speed.value));
    before = at;
    set(next);
    if (before !== null) requestAnimationFrame(tick);
  }

  function play() {
    if (now >= total) set(0);
    before = performance.now();
    draw();
    requestAnimationFrame(tick);
  }

  function pause() { before = null; draw(); }

  button.addEventListener('click', () => (before === null ? play() : pause()));
  slider.addEventListener('input', () => { before = null; set((total * Number(slider.value)) / PLACES); });
  slider.addEventListener('keydown', (event) => {
    if (event.key !== ' ') return;
    event.preventDefault();
    button.click();
  });

  return {
    node,
    pause,
    // A new race of this length, at its end; the speed is such that its replay can be followed.
    open(ms) {
      total = ms;
      speed.value = speedFor(ms);
      before = null;
      set(ms);
    },
  };
}
