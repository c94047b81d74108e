// The Playground's stage. Its address names the run on its stage: by Back, or where the address was copied, it is on the stage again.
// A page that is loaded anew in the middle of a run goes on with it.

import { note, place } from './address.js';
import { makeGoOn } from './goon.js';
import mountStage from './stage.js';
import { whoIs } from './visitor.js';

/** @param {import('./component').Component} component */
export default function mountWayBack(component) {
const { server, trigger, watch } = component;
const { stage, stream } = mountStage(component);
const goOn = makeGoOn(stage, (run) => trigger('go_on', { run }));
const BUSY_PHASES = ['waiting', 'preparing', 'running', 'auditing'];

function isHere() { return (place().view ?? 'play') === 'play'; }

function noteRun() {
  const run = stage.dataset.session;
  if (run && isHere() && place().run !== run) note({ ...place(), view: 'play', run });
}

// A run that goes on here keeps the stage; the address will follow it.
async function openNamed() {
  const wanted = isHere() ? place().run : '';
  if (!wanted || wanted === stage.dataset.session || BUSY_PHASES.includes(stage.dataset.phase)) return;
  const message = JSON.parse(await server.saved(wanted));
  if (place().run === wanted && !BUSY_PHASES.includes(stage.dataset.phase)) stream.apply(message);
}

watch('value', noteRun);
watch('value', goOn.show);
goOn.show();
window.addEventListener('sv-go', openNamed);
window.addEventListener('popstate', openNamed);
trigger('join', { ...whoIs(), run: isHere() ? place().run || '' : '' });
}
