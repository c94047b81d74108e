// The switch between plain text and light Markdown (also key M): one choice for every text of the page, kept by the
// browser. Lines and spans are there in any case (lines.js); the choice only says whether they look like it.

import { add, isKeyFor, make, makeButton } from './dom.js';

const MARKDOWN_KEY = 'specviz-text';
const MARKDOWN_CHANGED = 'specviz-text-changed';

function isPlainKept() {
  try { return localStorage.getItem(MARKDOWN_KEY) === 'plain'; } catch (error) { return document.body.classList.contains('sv-plain'); }
}

function keepPlain(isPlain) {
  document.body.classList.toggle('sv-plain', isPlain);
  try { localStorage.setItem(MARKDOWN_KEY, isPlain ? 'plain' : 'markdown'); } catch (error) { /* it lasts as long as the page */ }
  window.dispatchEvent(new Event(MARKDOWN_CHANGED));
}

export function makeMarkdownSwitch() {
  const button = makeButton('sv-switch sv-markdown', undefined, () => keepPlain(!isPlainKept()));
  button.title = 'Headings, lists, bold and code of the text look like it, or the text stands plain (key M)';
  add(button, make('span', '', 'Markdown'), make('kbd', '', 'M'));

  function apply() {
    document.body.classList.toggle('sv-plain', isPlainKept());
    button.setAttribute('aria-pressed', String(!isPlainKept()));
  }

  window.addEventListener(MARKDOWN_CHANGED, apply);
  window.addEventListener('storage', (event) => { if (event.key === MARKDOWN_KEY) apply(); });
  document.addEventListener('keydown', (event) => {
    if (!isKeyFor('m', event) || event.defaultPrevented || button.offsetParent === null) return;
    event.preventDefault(); // another text of the page may have the switch too
    keepPlain(!isPlainKept());
  });
  apply();
  return button;
}
