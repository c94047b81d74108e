// A lane's colour, dash and marker as a small sample of its line; the same as in the charts.

import { makeSvg } from './dom.js';

const DASHES = { solid: '', dash: '6 4', dot: '1.5 3', dashdot: '6 3 1.5 3', longdash: '10 4', longdashdot: '10 3 1.5 3' };
const MARKERS = {
  circle: 'M17 2.5a3.5 3.5 0 1 1 0 7a3.5 3.5 0 1 1 0-7z',
  square: 'M13.8 2.8h6.4v6.4h-6.4z',
  diamond: 'M17 1.6l4.4 4.4l-4.4 4.4l-4.4-4.4z',
  'triangle-up': 'M17 1.8l4.4 7.8h-8.8z',
  'triangle-down': 'M17 10.2l4.4-7.8h-8.8z',
  cross: 'M15.6 1.8h2.8v2.8h2.8v2.8h-2.8v2.8h-2.8v-2.8h-2.8v-2.8h2.8z',
  x: 'M13.4 4l2-2l1.6 1.7l1.6-1.7l2 2l-1.7 2l1.7 2l-2 2l-1.6-1.7l-1.6 1.7l-2-2l1.7-2z',
  star: 'M17 1l1.5 3.3l3.5.4l-2.6 2.4l.7 3.6l-3.1-1.8l-3.1 1.8l.7-3.6l-2.6-2.4l3.5-.4z',
};

export function makeSwatch(style) {
  const dash = style.dash in DASHES ? DASHES[style.dash] : style.dash.replace(/px/g, '');
  const svg = makeSvg('svg', { class: 'sv-swatch', viewBox: '0 0 34 12', width: 34, height: 12, 'aria-hidden': 'true', focusable: 'false' });
  svg.style.setProperty('--light', style.light);
  svg.style.setProperty('--dark', style.dark);
  svg.appendChild(makeSvg('path', { d: 'M0 6H34', 'stroke-dasharray': dash, class: 'sv-swatch-line' }));
  svg.appendChild(makeSvg('path', { d: MARKERS[style.marker] || MARKERS.circle, class: 'sv-swatch-marker' }));
  return svg;
}
