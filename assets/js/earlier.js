// Races that were run before, newest first: each opens with one press in the view above. The server gives a page of them.

import { goto } from './address.js';
import { add, empty, make, makeAlert, makeButton, shown, tell } from './dom.js';
import { visitorToken } from './visitor.js';

/** @param {import('./component').Component} component */
export default function mountEarlier(component) {
const { element, props, server, watch } = component;
const races = make('section', 'sv-earlier');
const list = make('ol', 'sv-earlier-list');
const alertBox = makeAlert();
const pager = make('nav', 'sv-pager');
const newer = pageButton('‹ Newer', -1);
const older = pageButton('Older ›', 1);
let page = 0;

function pageButton(text, by) {
  const button = makeButton('sv-button', text);
  button.addEventListener('click', async () => {
    const answer = await server.earlier_races({ page: page + by, visitor: visitorToken() }).catch(() => '{"alert": "The server does not answer; please try again."}');
    draw(JSON.parse(answer));
    if (button.disabled) (by > 0 ? newer : older).focus();
  });
  return button;
}

function entry(row) {
  const item = make('li', 'sv-earlier-race');
  const open = row.ids.length ? makeButton('sv-open', shown(row.prompt)) : make('span', '', shown(row.prompt));
  open.addEventListener('click', () => { if (row.ids.length) openRace(row.ids); });
  const count = row.runs + (row.runs === 1 ? ' run' : ' runs');
  add(item, add(make('bdi', 'sv-earlier-prompt'), open), make('span', 'sv-earlier-when', row.when + ' UTC · ' + count), make('bdi', 'sv-earlier-methods', shown(row.methods)));
  return row.note ? add(item, make('span', 'sv-earlier-note', row.note)) : item;
}

// The view shows a race from its top.
function openRace(ids) {
  goto({ view: 'compare', ids });
  document.querySelector('#race-stage')?.scrollIntoView({ block: 'start' });
}

function draw(found) {
  tell(alertBox, found.alert);
  if (found.alert) return;
  page = found.page;
  empty(list);
  for (const row of found.rows) add(list, entry(row));
  newer.disabled = page === 0;
  older.disabled = !found.hasOlder;
  pager.hidden = page === 0 && !found.hasOlder;
  races.hidden = !found.rows.length && page === 0;
}

function receive() { if (props.value) draw(JSON.parse(props.value)); }

races.hidden = true;
pager.setAttribute('aria-label', 'Pages of earlier races');
add(races, make('h2', '', 'Earlier races'), alertBox, list, add(pager, newer, older));
element.appendChild(races);
watch('value', receive);
receive();
}
