// The run as a ruler: one bar per step, as high as the tokens it emitted; a step that accepted nothing is outlined.
// Click or drag goes to a step. A native slider beside it serves keyboards and screen readers.

import { add, make, makeSvg } from './dom.js';
import { isFullAccept } from './drafttree.js';

const WIDEST_BAR = 40;

// Bonus: the path survived to its end; none: nothing was accepted.
function barKind(step) { return isFullAccept(step) ? 'bonus' : step.path.length ? 'accepted' : 'none'; }

// The step under a place of the ruler: a share of its width from the left.
function stepUnder(share, count) { return Math.min(count - 1, Math.max(0, Math.floor(share * count))); }

export function makeRuler(onStep) {
  const holder = make('div', 'sv-ruler');
  const svg = makeSvg('svg', { preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false' });
  const hand = make('span', 'sv-ruler-hand');
  const slider = make('input', 'sv-ruler-slider');
  let steps = [];
  let bars = [];
  let at = -1;
  slider.type = 'range';
  slider.setAttribute('aria-label', 'Step');
  add(holder, add(make('div', 'sv-ruler-plot'), svg, hand), slider);

  function draw(next) {
    steps = next;
    at = -1;
    const highest = Math.max(1, ...steps.map((step) => step.k.length));
    svg.setAttribute('viewBox', `0 0 ${Math.max(1, steps.length)} ${highest}`);
    bars = steps.map((step, index) => {
      return makeSvg('rect', { x: index + 0.1, y: highest - step.k.length, width: 0.8, height: step.k.length, class: 'sv-ruler-bar is-' + barKind(step) });
    });
    svg.replaceChildren(...bars);
    const count = Math.max(1, steps.length);
    holder.style.maxWidth = Math.max(240, count * WIDEST_BAR) + 'px';
    slider.style.marginLeft = `calc(${50 / count}% - 8px)`;  // the slider's thumb stands below its bar
    slider.style.width = `calc(${100 - 100 / count}% + 16px)`;
    Object.assign(slider, { min: 0, max: Math.max(0, steps.length - 1), step: 1, value: 0 });
  }

  function go(index) {
    if (index === at || !steps[index]) return;
    if (bars[at]) bars[at].classList.remove('is-here');
    at = index;
    bars[at].classList.add('is-here');
    slider.value = index;
    const step = steps[at];
    slider.setAttribute('aria-valuetext', 'step ' + step.n + ', ' + step.k.length + ' tokens');
    hand.style.left = (100 * (index + 0.5)) / steps.length + '%';
  }

  function pointed(event) {
    const box = svg.getBoundingClientRect();
    onStep(stepUnder((event.clientX - box.left) / box.width, steps.length));
  }

  svg.addEventListener('pointerdown', (event) => { svg.setPointerCapture(event.pointerId); pointed(event); });
  svg.addEventListener('pointermove', (event) => { if (event.buttons) pointed(event); });
  slider.addEventListener('input', () => onStep(Number(slider.value)));

  return { node: holder, draw, go };
}
