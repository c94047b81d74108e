// The page of an exported file: its runs as tabs, drawn by the stage and the inspector of the app without Gradio and a server.

import { leadBy } from './address.js';
import { add, makeButton, shown } from './dom.js';
import { makeInspector } from './inspector.js';
import mountPlayer from './player.js';

/** @param {{ element: HTMLElement }} component */
export default function mountOffline(component) {
  const { runs } = JSON.parse(document.getElementById('runs').textContent);
  const inspector = makeInspector();
  const steps = /** @type {HTMLElement} */ (document.querySelector('.sv-offline-steps'));
  const props = { value: '' };
  const watchers = [];

  function open(index) {
    props.value = JSON.stringify(runs[index].message);
    for (const listener of watchers) listener();
    inspector.load(runs[index].trace, null);
    for (const [place, button] of [...document.querySelectorAll('.sv-offline-run')].entries()) button.setAttribute('aria-pressed', String(place === index));
    document.querySelector('.sv-offline-prompt').textContent = shown(runs[index].prompt);
  }

  function fill() {
    const list = /** @type {HTMLElement} */ (document.querySelector('.sv-offline-runs'));
    runs.forEach((run, index) => {
      const button = makeButton('sv-button sv-offline-run', shown(run.title), () => open(index));
      add(list, button);
    });
    list.hidden = runs.length < 2;
    add(steps, inspector.node);
  }

  mountPlayer({ ...component, props, server: {}, watch: (_, listener) => watchers.push(listener), trigger() {} });
  // A pressed token leads to its step below; there is no other view to go to.
  leadBy(({ step }) => {
    inspector.load(inspector.trace(), Number(step));
    steps.scrollIntoView({ block: 'start' });
    steps.focus({ preventScroll: true });
  });
  fill();
  open(0);
}
