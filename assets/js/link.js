// The Playground's settings as an address. The value is `{values}`, what its controls hold, whenever one has changed; from the
// server, behind an address that asks for settings, also `{notices, opened}`: what it asks in vain, and which saved run's they
// are. CONTROLS are the names of the values in their order.

import { isSetting, linkTo, note, place, withoutSettings } from './address.js';
import { add, make, makeAlert, makeButton, tell } from './dom.js';

/** @param {import('./component').Component} component */
export default function mountLink(component) {
const { element, props, watch, CONTROLS } = component;
const MOST_LINK_CHARS = 6000; // servers take a first line of eight thousand
const NOTE_AFTER_MS = 250;
const link = make('div', 'sv-link');
const linkSaid = make('span', 'sv-link-said');
const linkNotice = makeAlert();
let held = {};
let first = '';
let noteTimer = 0;
let isAwaiting = false; // the address asks for settings, and the server has not said yet which there are

// The settings as keys and texts of an address. A prompt that is too long for one is left out.
function settingsOf(values) {
  const { settings, ...controls } = values;
  const { method, options = {}, sampling = {}, conversation = {}, stop = [] } = JSON.parse(settings || '{}');
  const found = {};
  const put = (rows, before) => { for (const [key, value] of Object.entries(rows || {})) found['set.' + before + key] = typeof value === 'object' ? JSON.stringify(value) : String(value); };
  put({ ...controls, method }, '');
  put(options[method], 'options.');
  put(sampling, 'sampling.');
  put(conversation, 'conversation.');
  if (stop.length) put({ stop }, '');
  if (String(new URLSearchParams(found)).length > MOST_LINK_CHARS) delete found['set.prompt'];
  return found;
}

function isInPlay() { return (place().view ?? 'play') === 'play'; }

// As they are first, an address need not say them.
function noteSettings() {
  window.clearTimeout(noteTimer);
  const settings = settingsOf(held);
  const there = place();
  if (!element.isConnected || isAwaiting || !isInPlay() || (JSON.stringify(settings) === first && !Object.keys(there).some(isSetting) && !there.again)) return;
  note({ ...withoutSettings(there), view: 'play', ...settings });
}

async function copyLink() {
  const settings = settingsOf(held);
  const address = linkTo({ view: 'play', ...settings });
  const without = settings['set.prompt'] === undefined ? ' It holds all but the prompt, which is too long for a link.' : '';
  try {
    await navigator.clipboard.writeText(address);
    linkSaid.textContent = 'The link is copied.' + without;
  } catch (error) {
    linkSaid.textContent = address + without;
  }
}

function receive() {
  if (!props.value) return;
  const told = JSON.parse(props.value);
  held = Array.isArray(told.values) ? Object.fromEntries(CONTROLS.map((name, place) => [name, told.values[place]])) : { ...held, ...told.values };
  first = first || JSON.stringify(settingsOf(held));
  linkSaid.textContent = '';
  if (told.notices) arrived(told);
  window.clearTimeout(noteTimer);
  noteTimer = window.setTimeout(noteSettings, NOTE_AFTER_MS);
}

// Sessions asks for a run to be made again; not where some of its settings are not to be had.
function arrived({ notices, opened }) {
  isAwaiting = false;
  tell(linkNotice, notices.length ? notices.join(' ') + ' The rest of what the link asks for is set.' : '');
  if (opened && window.specvizRunAgain === opened && !notices.length) window.setTimeout(() => /** @type {HTMLButtonElement} */ (document.querySelector('#run'))?.click(), NOTE_AFTER_MS);
  window.specvizRunAgain = '';
}

linkSaid.setAttribute('role', 'status');
const copyButton = makeButton('sv-copy', 'Copy link', copyLink);
copyButton.title = 'A link that opens with this model, method, options, prompt, sampling and seed';
add(link, linkNotice, add(make('p', 'sv-link-line'), copyButton, linkSaid));
element.appendChild(link);
watch('value', receive);
isAwaiting = isInPlay() && Object.keys(place()).some((key) => isSetting(key) || key === 'again');
window.addEventListener('sv-go', () => { isAwaiting = isInPlay() && Boolean(place().again); window.setTimeout(noteSettings, NOTE_AFTER_MS); });
receive();
}
