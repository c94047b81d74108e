// What the marks of tokens mean, and the switch (also key G) that shows rejected drafts inside `root`.

import { add, make, makeButton } from './dom.js';

const LEGEND = [['accepted', 'accepted draft'], ['correction', 'correction'], ['bonus', 'bonus'], ['plain', 'target only'], ['rejected', 'rejected draft']];

export function makeLegend(root) {
  const node = make('div', 'sv-legend');
  const list = make('ul', 'sv-legend-list');
  const ghosts = makeButton('sv-ghosts');
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

  function isTyping(target) { return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null; }

  ghosts.addEventListener('click', toggle);
  document.addEventListener('keydown', (event) => {
    const isPlainKey = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (isPlainKey && event.key.toLowerCase() === 'g' && !isTyping(event.target) && node.offsetParent !== null) toggle();
  });
  return add(node, list, ghosts);
}
