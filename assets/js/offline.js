// The page of an exported file: the runs as tabs, drawn by the same stage as in the app.

const runs = JSON.parse(document.getElementById('runs').textContent).runs;
const watchers = [];
const props = { value: '' };
const server = {};
function watch(name, listener) { watchers.push(listener); }
function trigger() {}

function open(index) {
  props.value = JSON.stringify(runs[index].message);
  for (const listener of watchers) listener();
  for (const [place, button] of [...document.querySelectorAll('.sv-offline-run')].entries()) button.setAttribute('aria-pressed', String(place === index));
  document.querySelector('.sv-offline-prompt').textContent = runs[index].prompt;
}

function fill() {
  const list = document.querySelector('.sv-offline-runs');
  runs.forEach((run, index) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'sv-button sv-offline-run';
    button.textContent = run.title;
    button.addEventListener('click', () => open(index));
    list.appendChild(button);
  });
  list.hidden = runs.length < 2;
}
