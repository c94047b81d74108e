// What the marks of tokens mean, and the switches of the text: Markdown, and (also key G) rejected drafts inside `root`.

import { add, isKeyFor, make, makeButton } from './dom.js';
import { makeMarkdownSwitch } from './markdown.js';

const LEGEND = [['accepted', 'accepted draft'], ['correction', 'correction'], ['bonus', 'bonus'], ['plain', 'target only'], ['rejected', 'rejected draft']];

export function makeLegend(root) {
  const node = make('div', 'sv-legend');
  const list = make('ul', 'sv-legend-list');
  const ghosts = makeButton('sv-switch sv-ghosts');
  list.setAttribute('aria-label', 'Legend');
  for (const [name, text] of LEGEND) {
    const mark = add(make('span', 'sv-token is-' + name), make('span', 'sv-body', 'word'));
    mark.setAttribute('aria-hidden', 'true');
    add(list, add(make('li', ''), mark, make('span', '', text)));
  }
  ghosts.setAttribute('aria-pressed', 'false');
  ghosts.title = 'Show what was drafted and rejected (key G)';
  add(ghosts, make('span', '', 'Show rejected drafts'), make('kbd', '', 'G'));

  function toggle() { ghosts.setAttribute('aria-pressed', String(root.classList.toggle('has-ghosts'))); }

  ghosts.addEventListener('click', toggle);
  document.addEventListener('keydown', (event) => { if (isKeyFor('g', event) && node.offsetParent !== null) toggle(); });
  return add(node, list, add(make('div', 'sv-switches'), makeMarkdownSwitch(), ghosts));
}
