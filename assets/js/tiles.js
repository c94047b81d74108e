// The figures of a run. Numbers and their words come from the server; nothing is computed here.

import { add, make } from './dom.js';
import { explain } from './tooltip.js';

export function makeTiles() {
  const list = make('ul', 'sv-tiles');
  list.setAttribute('aria-label', 'Figures of this run');
  const known = new Map();

  function build(tile) {
    const node = make('li', 'sv-tile');
    node.dataset.tile = tile.key;
    const parts = { label: make('span', 'sv-tile-label', tile.label), value: make('span', 'sv-tile-value'), unit: make('span', 'sv-tile-unit'), note: make('p', 'sv-tile-note') };
    add(node, add(make('p', 'sv-tile-head'), parts.label, explain(tile.label, tile.terms)), add(make('p', 'sv-tile-figure'), parts.value, parts.unit), parts.note);
    list.appendChild(node);
    known.set(tile.key, { node, parts });
    return known.get(tile.key);
  }

  return {
    node: list,
    update(tiles) {
      for (const tile of tiles) {
        const { node, parts } = known.get(tile.key) || build(tile);
        node.className = 'sv-tile' + (tile.tone ? ' is-' + tile.tone : '');
        parts.value.textContent = tile.value;
        parts.unit.textContent = tile.unit;
        parts.note.textContent = tile.note;
      }
    },
  };
}
