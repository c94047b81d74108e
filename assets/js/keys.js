// Keys of the whole page: run and stop what the open view runs, and a list of all keys. VIEWS: [run, stop] of each, as selectors.

import { add, make, makeButton } from './dom.js';

/** @param {import('./component').Component} component */
export default function mountKeys(component) {
const { element, VIEWS } = component;
const KEYS = [
  [['Ctrl', 'Enter'], 'Run, race or start what the open view runs'],
  [['Esc'], 'Stop it; first it closes a card, a definition or this list'],
  [['G'], 'Show or hide rejected drafts'],
  [['←', '→'], 'From token to token, step to step, or point to point of a chart'],
  [['Enter'], 'Open the token’s or the bar’s step in the Inspector'],
  [['Space'], 'Play or pause a replay, on its slider'],
  [['?'], 'This list'],
];
const dialog = make('dialog', 'sv-keys');
const wasOpen = { popover: false };

function buildKeys() {
  const list = make('dl', 'sv-keys-list');
  for (const [keys, what] of KEYS) {
    const term = make('dt', '');
    for (const key of keys) add(term, make('kbd', '', key));
    add(list, term, make('dd', '', what));
  }
  const title = Object.assign(make('h2', '', 'Keys'), { id: 'sv-keys-title' });
  dialog.setAttribute('aria-labelledby', title.id);
  add(dialog, title, list, makeButton('sv-button', 'Close', () => dialog.close()));
  dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
  add(element, dialog);
}

function isTypingIn(target) { return target instanceof Element && target.closest('input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]') !== null; }

// Something that Escape closes first.
function hasOverlay() { return document.querySelector('dialog[open], :popover-open, .sv-card:not([hidden]), [role=listbox]:not(.sv-text)') !== null; }

// The button of the open view, where it can be pressed.
function buttonOf(place) {
  const found = VIEWS.map((pair) => document.querySelector(pair[place])).find((button) => button && button.offsetParent !== null);
  return found && !found.disabled ? found : null;
}

function press(event, place) {
  const button = buttonOf(place);
  if (!button) return;
  event.preventDefault();
  button.click();
}

// Before anybody else has seen the key: whoever closes something at it has it closed afterwards.
function look(event) { if (event.key === 'Escape') wasOpen.popover = hasOverlay(); }

function pressed(event) {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) press(event, 0);
  else if (event.key === 'Escape' && !wasOpen.popover && !event.isComposing) press(event, 1);
  else if (event.key === '?' && !event.ctrlKey && !event.metaKey && !isTypingIn(event.target) && dialog.isConnected && !dialog.open) { event.preventDefault(); dialog.showModal(); }
}

buildKeys();
document.addEventListener('keydown', look, true);
document.addEventListener('keydown', pressed);
document.addEventListener('click', (event) => { if (event.target instanceof Element && event.target.closest('#keys-switch')) dialog.showModal(); });
}
