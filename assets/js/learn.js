// The page of the tour, the methods and the glossary (METHODS, FIGURES, BENCH and WORDS come from the server). Texts come as plain values and enter by textContent.

import { note, place } from './address.js';
import { add, empty, make, makeAlert, makeButton, shown, tell } from './dom.js';
import { makeTour } from './tour.js';

/** @param {import('./component').Component} component */
export default function mountLearn(component) {
const { element, props, server, watch, METHODS, FIGURES, BENCH, WORDS } = component;
const tags = new Set(['p', 'ul', 'ol', 'li', 'strong', 'em', 'code', 'pre', 'h4', 'table', 'thead', 'tbody', 'tr', 'th', 'td']);
const page = make('div', 'sv-learn');
const tour = makeTour((stop) => { tour.show(stop); note({ ...place(), step: Math.min(5, Math.max(1, stop)) }); });
const article = make('article', 'sv-article');
article.tabIndex = 0; // a wide table scrolls within it
article.setAttribute('aria-label', 'The method');
const alertBox = makeAlert();
const menu = make('ul', 'sv-method-menu');
const entries = new Map();
let hasTour = false;
let shownMethod = '';

function elementOf(tree) {
  if (typeof tree === 'string') return document.createTextNode(shown(tree));
  const [tag, children] = tree;
  return add(make(tags.has(tag) ? tag : 'span', tag === 'table' ? 'sv-plot-table' : ''), ...children.map(elementOf));
}

async function showMethod(name) {
  if (name === shownMethod) return;
  shownMethod = name;
  for (const [each, button] of entries) { if (each === name) button.setAttribute('aria-current', 'true'); else button.removeAttribute('aria-current'); }
  const found = JSON.parse(await server.method_page(name));
  if (name !== shownMethod) return;
  empty(article);
  if (found.alert) { add(article, make('p', 'sv-note', found.alert)); return; }
  const head = make('p', 'sv-article-source', found.source + ' ');
  add(head, make('span', 'sv-guarantee is-' + found.guarantee, found.guarantee));
  add(article, make('h3', 'sv-article-title', found.title), make('p', 'sv-article-summary', found.summary), head, ...found.trees.map(elementOf));
}

function terms(rows) {
  const list = make('dl', 'sv-terms');
  for (const [term, word, meaning] of rows) {
    const entry = add(make('div', 'sv-term'), make('dt', '', word), make('dd', '', meaning));
    entry.id = 'term-' + term;
    entry.tabIndex = -1;
    add(list, entry);
  }
  return list;
}

// An address may name a term: it is brought into view and marked.
function showTerm(term, problem) {
  for (const old of page.querySelectorAll('.sv-term.is-named')) old.classList.remove('is-named');
  tell(alertBox, problem);
  const entry = problem ? alertBox : term && page.querySelector('#term-' + CSS.escape(term));
  if (!entry) return;
  entry.classList.toggle('is-named', !problem);
  bringIntoView(entry);
}

// The tab may open only after what it shows has arrived.
function bringIntoView(entry) {
  if (place().view !== 'learn') return;
  if (page.offsetParent === null) { setTimeout(bringIntoView, 50, entry); return; }
  entry.scrollIntoView({ block: 'center' });
  entry.focus({ preventScroll: true });
}

function build() {
  for (const [name, title, summary] of METHODS) {
    const button = makeButton('sv-method-entry', title, () => { showMethod(name); note({ ...place(), ids: name }); });
    button.title = summary;
    entries.set(name, button);
    menu.appendChild(add(make('li', ''), button));
  }
  const head = (title, text) => add(make('header', 'sv-learn-head'), make('h2', '', title), make('p', '', text));
  add(page, head('Speculative decoding in five stops', 'A real run, recorded with the embedded model. Every button works: step through it as you like.'), tour.node,
    head('Methods', 'What each one does, where it comes from, and when it fails.'), add(make('div', 'sv-method-columns'), menu, article),
    alertBox, head('Figures', 'Every figure of a run, with its denominator.'), terms(FIGURES),
    head('Figures of a benchmark', 'Measured over many runs, prefill included.'), terms(BENCH), head('Words', 'One word per idea.'), terms(WORDS));
  alertBox.tabIndex = -1;
  element.appendChild(page);
}

async function receive() {
  const message = props.value ? JSON.parse(props.value) : null;
  if (message === null) return;
  const method = showMethod(message.method || shownMethod || METHODS[METHODS.length > 1 ? 1 : 0][0]);
  const stop = showStop(message.stop);
  await Promise.all([method, stop]); // what they draw stands above the glossary
  if (message.nonce === JSON.parse(props.value).nonce) showTerm(message.term, message.alert);
}

async function showStop(stop) {
  if (hasTour) { if (stop) tour.show(stop); return; }
  hasTour = true;
  tour.load(JSON.parse(await server.read('recorded')));
  tour.show(stop || 1);
}

build();
watch('value', receive);
receive();
}
