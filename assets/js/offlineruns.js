// The page of an exported file: runs as tabs, drawn by the stage and the inspector of the app; comes after them.

const inspector = makeInspector();
const steps = document.querySelector('.sv-offline-steps');

function open(index) {
  props.value = JSON.stringify(runs[index].message);
  for (const listener of watchers) listener();
  inspector.load(runs[index].trace, null);
  for (const [place, button] of [...document.querySelectorAll('.sv-offline-run')].entries()) button.setAttribute('aria-pressed', String(place === index));
  document.querySelector('.sv-offline-prompt').textContent = shown(runs[index].prompt);
}

function fill() {
  const list = document.querySelector('.sv-offline-runs');
  runs.forEach((run, index) => {
    const button = makeButton('sv-button sv-offline-run', shown(run.title), () => open(index));
    add(list, button);
  });
  list.hidden = runs.length < 2;
  add(steps, inspector.node);
}

// A pressed token leads to its step below; there is no other view to go to.
goto = ({ step }) => {
  inspector.load(inspector.trace(), Number(step));
  steps.scrollIntoView({ block: 'start' });
  steps.focus({ preventScroll: true });
};

fill();
open(0);
