// The inspector on the page: reads the run that the address names, once, and keeps the address at the step.

import { goto, note, place } from './address.js';
import { add, empty, make, makeAlert, makeButton, makeOption, shown, tell } from './dom.js';
import { makeInspector } from './inspector.js';

/** @param {import('./component').Component} component */
export default function mountInspectView(component) {
const { element, props, server, watch } = component;
const holder = make('div', 'sv-inspect');
const picker = make('div', 'sv-inspect-picker');
const label = make('label', 'sv-field-label', 'Run');
const select = make('select', 'sv-input');
const alertBox = makeAlert();
const RECORDED = 'recorded';
const about = add(make('p', 'sv-note sv-inspect-about', 'A recording that comes with SpecViz: a small model drafts trees for the embedded target. A run of your own stands here once you have pressed Run in the '),
  makeButton('sv-open', 'Playground', () => goto({ view: 'play' })), document.createTextNode('.'));
const inspector = makeInspector({ onStep: noteSoon });
let loaded = '';
let asked = 0;
let noteTimer = null;

function isHere() { return place().view === 'inspect' && element.offsetParent !== null; }

// Browsers refuse an address that changes many times a second.
function noteSoon(n) {
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => { if (isHere()) note({ ...place(), run: loaded, step: n }); }, 200);
}

async function open(run, step) {
  if (run === loaded) { if (step !== null && inspector.number() !== step) inspector.load(inspector.trace(), step); return; }
  const mine = ++asked;
  holder.dataset.state = 'loading';
  const answer = JSON.parse(await server.read(run));
  if (mine !== asked) return;
  holder.dataset.state = 'ready';
  tell(alertBox, answer.alert);
  inspector.node.hidden = Boolean(answer.alert);
  if (answer.alert) { loaded = ''; about.hidden = true; return; }
  loaded = run;
  about.hidden = run !== RECORDED;
  inspector.load(answer, step);
}

function fillPicker(runs, wanted) {
  empty(select);
  if (!runs.some((run) => run.id === wanted)) runs = [{ id: wanted, label: 'The run of this address' }, ...runs];
  for (const run of runs) add(select, makeOption(run.id, shown(run.label)));
  select.value = wanted;
}

function receive() {
  const message = JSON.parse(props.value || '{}');
  if (!message.run) return;
  fillPicker(message.runs, message.run);
  open(message.run, message.step ?? null);
}

select.id = 'sv-inspect-run';
label.htmlFor = select.id;
select.addEventListener('change', () => goto({ view: 'inspect', run: select.value }));
about.hidden = inspector.node.hidden = true;
add(element, add(holder, add(picker, label, select), about, alertBox, inspector.node));
watch('value', receive);
receive();
}
