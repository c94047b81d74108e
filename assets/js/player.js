// A stage of a recorded run, which it plays again: at its own pace, slower, faster, or step by step. No server needed.

import { add, make, makeButton } from './dom.js';
import mountStage from './stage.js';
import { seconds, stepsUntil } from './timeline.js';

/** @param {import('./component').Component} component */
export default function mountPlayer(component) {
const { props, watch } = component;
const mounted = mountStage(component);
const { status, tokens, clearSteps, showSteps, counts } = mounted;
const PACES = [['0.25', '¼×'], ['0.5', '½×'], ['1', '1×'], ['2', '2×'], ['4', '4×']];
const player = make('div', 'sv-player');
const playButton = makeButton('sv-button', 'Replay');
const playSlider = make('input', 'sv-player-slider');
const playPace = make('select', 'sv-select');
const playClock = make('output', 'sv-player-clock');
let recorded = [];
let numPlayed = 0;
let playedMs = 0;
let playedAt = 0;
let isPlaying = false;

function buildPlayer() {
  playSlider.type = 'range';
  playSlider.min = '0';
  playSlider.setAttribute('aria-label', 'Step of the recorded run');
  playPace.setAttribute('aria-label', 'Pace of the replay');
  for (const [value, text] of PACES) add(playPace, Object.assign(make('option', '', text), { value, selected: value === '1' }));
  playButton.addEventListener('click', () => (isPlaying ? pausePlaying() : startPlaying()));
  playSlider.addEventListener('input', () => { isPlaying = false; showPlayed(Number(playSlider.value)); });
  add(player, playButton, playSlider, playClock, playPace);
  player.hidden = true;
  status.after(player);
}

function loadRecording() {
  const message = typeof props.value === 'string' && props.value ? JSON.parse(props.value) : {};
  if (!message.snapshot || !message.steps.length) return;
  isPlaying = false;
  recorded = message.steps;
  numPlayed = recorded.length;
  playSlider.max = String(recorded.length);
  player.hidden = false;
  drawPlayer();
}

function startPlaying() {
  if (numPlayed >= recorded.length) showPlayed(0);
  isPlaying = true;
  playedMs = numPlayed ? recorded[numPlayed - 1].at : 0;
  playedAt = performance.now();
  drawPlayer();
  window.requestAnimationFrame(playOn);
}

function pausePlaying() {
  isPlaying = false;
  drawPlayer();
}

function playOn(now) {
  if (!isPlaying) return;
  playedMs += (now - playedAt) * Number(playPace.value);
  playedAt = now;
  const n = stepsUntil(recorded, playedMs);
  if (n > numPlayed) showPlayed(n);
  if (n >= recorded.length) pausePlaying();
  else window.requestAnimationFrame(playOn);
}

// The first n steps and nothing else.
function showPlayed(n) {
  if (n < numPlayed) { clearSteps(); numPlayed = 0; }
  showSteps(recorded.slice(numPlayed, n));
  numPlayed = n;
  counts(n);
  tokens.pending(n < recorded.length);
  drawPlayer();
}

function drawPlayer() {
  playButton.textContent = isPlaying ? 'Pause' : numPlayed < recorded.length ? 'Play on' : 'Replay';
  playSlider.value = String(numPlayed);
  playClock.textContent = 'step ' + numPlayed + ' of ' + recorded.length + ' · ' + seconds(numPlayed ? recorded[numPlayed - 1].at : 0);
}

buildPlayer();
watch('value', loadRecording);
loadRecording();
return mounted;
}
