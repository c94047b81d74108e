// The page of the tour, the methods and the glossary (METHODS, FIGURES and WORDS come from the server). Texts come as plain values and enter by textContent.

const tags = new Set(['p', 'ul', 'ol', 'li', 'strong', 'em', 'code', 'pre', 'h4', 'table', 'thead', 'tbody', 'tr', 'th', 'td']);
const page = make('div', 'sv-learn');
const tour = makeTour((stop) => { tour.show(stop); note({ ...place(), step: Math.min(5, Math.max(1, stop)) }); });
const article = make('article', 'sv-article');
article.tabIndex = 0; // a wide table scrolls within it
article.setAttribute('aria-label', 'The method');
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
  for (const [word, meaning] of rows) add(list, add(make('div', ''), make('dt', '', word), make('dd', '', meaning)));
  return list;
}

function build() {
  for (const [name, title, summary] of METHODS) {
    const button = make('button', 'sv-method-entry', title);
    button.type = 'button';
    button.title = summary;
    button.addEventListener('click', () => { showMethod(name); note({ ...place(), ids: name }); });
    entries.set(name, button);
    menu.appendChild(add(make('li', ''), button));
  }
  const head = (title, text) => add(make('header', 'sv-learn-head'), make('h2', '', title), make('p', '', text));
  add(page, head('Speculative decoding in five stops', 'A real run, recorded with the embedded model. Every button works: step through it as you like.'), tour.node,
    head('Methods', 'What each one does, where it comes from, and when it fails.'), add(make('div', 'sv-method-columns'), menu, article),
    head('Figures', 'Every figure of the page, with its denominator.'), terms(FIGURES), head('Words', 'One word per idea.'), terms(WORDS));
  element.appendChild(page);
}

async function receive() {
  const message = props.value ? JSON.parse(props.value) : null;
  if (message === null) return;
  showMethod(message.method || shownMethod || METHODS[METHODS.length > 1 ? 1 : 0][0]);
  if (!hasTour) { hasTour = true; tour.load(JSON.parse(await server.read('recorded'))); tour.show(message.stop || 1); }
  else if (message.stop) tour.show(message.stop);
}

build();
watch('value', receive);
receive();
