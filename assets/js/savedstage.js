// The stage of a saved run in Sessions: the player, and its settings again, in the Playground.

import { openSettings, runAgain } from './again.js';
import { add, make, makeButton } from './dom.js';
import mountPlayer from './player.js';

/** @param {import('./component').Component} component */
export default function mountSavedStage(component) {
const { stage, status } = mountPlayer(component);
const again = make('p', 'sv-again');

function draw() { again.hidden = !stage.dataset.session; }

add(again, makeButton('sv-button', 'Run again', () => runAgain(stage.dataset.session)), makeButton('sv-button', 'Open in Playground', () => openSettings(stage.dataset.session)));
status.after(again);
component.watch('value', draw);
draw();
}
