// How far the benchmark is that runs now: a bar, the time left, and what went wrong.

import { add, make, makeAlert, shown, tell } from './dom.js';

/** @param {import('./component').Component} component */
export default function mountBenchProgress(component) {
const { element, props, watch } = component;
const holder = make('div', 'sv-bench-progress');
const alertBox = makeAlert();
const line = make('p', 'sv-bench-status');
const dot = make('span', 'sv-dot');
const text = make('span', 'sv-status-text');
const more = make('span', 'sv-bench-more');
const bar = make('div', 'sv-bar-track');
const fill = make('div', 'sv-bar-fill');
bar.setAttribute('role', 'progressbar');
bar.setAttribute('aria-label', 'Runs measured');
bar.setAttribute('aria-valuemin', '0');
bar.setAttribute('aria-valuemax', '100');
add(holder, alertBox, add(line, dot, text, more), add(bar, fill));
element.appendChild(holder);

let lastPhase = '';

// Where the results stand above the controls, a benchmark that has just begun should be seen.
function bringIntoView(phase) {
  const hasBegun = phase === 'waiting' && lastPhase !== '' && lastPhase !== phase;
  if (hasBegun && holder.getBoundingClientRect().top < 0) holder.scrollIntoView({ block: 'center' });
  lastPhase = phase;
}

function show() {
  const told = props.value ? JSON.parse(props.value) : { phase: 'idle', text: '', more: '', share: 0, alert: '' };
  const percent = Math.round(100 * told.share);
  holder.dataset.phase = told.phase;
  tell(alertBox, shown(told.alert || (told.phase === 'failed' ? told.text : '')));
  text.textContent = told.phase === 'failed' ? 'Failed' : shown(told.text);
  more.textContent = shown(told.more);
  line.hidden = told.phase === 'idle';
  bar.hidden = told.phase === 'idle';
  bar.setAttribute('aria-valuenow', String(percent));
  fill.style.width = percent + '%';
  bringIntoView(told.phase);
}

watch('value', show);
show();
}
