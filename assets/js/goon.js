// The conversation goes on from an answer: a button below it, when the run has ended.

import { makeButton } from './dom.js';

// onPress(run's id)
export function makeGoOn(stage, onPress) {
  const button = makeButton('sv-button sv-go-on', 'Continue from this answer', () => onPress(stage.dataset.session));
  stage.querySelector('.sv-paper').after(button);
  return { show() { button.hidden = stage.dataset.phase !== 'finished' || !stage.dataset.session; } };
}
