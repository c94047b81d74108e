// A saved run's settings in the Playground, to look at or to run at once; see link.js.

import { goto } from './address.js';

export function openSettings(run) { if (run) goto({ view: 'play', again: run }); }

export function runAgain(run) {
  window.specvizRunAgain = run || '';
  openSettings(run);
}
