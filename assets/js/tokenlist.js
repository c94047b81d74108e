// Token ids with their texts, as a model gets them.

import { add, make, spelled } from './dom.js';

const MOST_LISTED = 2000;

export function makeTokenList(ids, texts) {
  const list = make('ol', 'sv-token-list');
  list.setAttribute('aria-label', 'Tokens with their ids');
  ids.slice(0, MOST_LISTED).forEach((id, place) => {
    const item = make('li', '');
    if (texts) add(item, make('span', 'sv-token-text', spelled(texts[place])));
    add(list, add(item, make('span', 'sv-token-id', String(id))));
  });
  if (ids.length > MOST_LISTED) add(list, make('li', 'sv-soft', '… ' + (ids.length - MOST_LISTED) + ' more'));
  return list;
}
