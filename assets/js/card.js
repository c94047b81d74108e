// The detail card of one token: what it is, where it came from, what else the target considered.

import { add, empty, make, milliseconds, probability, spelled } from './dom.js';

export const ORIGIN = {
  accepted: 'accepted draft',
  correction: 'target correction',
  bonus: 'bonus',
  plain: 'target',
  rejected: 'rejected draft',
  unreached: 'draft below a rejected one, never considered',
};

// Left and top inside the stage: below the token, or above it where the window ends; not beyond the stage's right edge.
function cardPlace(token, stage, card, windowHeight) {
  const left = Math.min(Math.max(0, token.left - stage.left - 12), Math.max(0, stage.width - card.width));
  const isHigh = token.bottom + card.height + 16 > windowHeight && token.top > card.height + 16;
  return { left, top: (isHigh ? token.top - card.height - 8 : token.bottom + 8) - stage.top };
}

export function makeCard(stage) {
  const card = make('div', 'sv-card');
  card.setAttribute('role', 'tooltip');
  card.id = 'sv-card-' + Math.random().toString(36).slice(2, 8);
  card.hidden = true;
  stage.appendChild(card);

  function fact(list, name, value) {
    add(list, make('dt', '', name), make('dd', '', value));
  }

  function alternatives(token) {
    const list = make('ol', 'sv-card-alternatives');
    for (const [text, id, p] of token.a) {
      const row = make('li', id === token.id ? 'is-chosen' : '');
      const bar = make('span', 'sv-card-bar');
      bar.style.setProperty('--share', 100 * p + '%');
      add(list, add(row, make('bdi', '', spelled(text)), bar, make('span', 'sv-card-p', probability(p))));
    }
    return list;
  }

  function fill(token, step) {
    empty(card);
    const head = add(make('p', 'sv-card-head'), make('bdi', 'sv-card-token', spelled(token.t || token.raw || '')), make('span', 'sv-card-origin is-' + token.o, ORIGIN[token.o]));
    const facts = make('dl', 'sv-card-facts');
    fact(facts, 'Token id', String(token.id));
    fact(facts, 'Target probability', probability(token.p));
    fact(facts, 'Draft probability', token.o === 'plain' ? '–' : probability(token.q));
    if (step.by) fact(facts, 'Drafted by', step.by);
    fact(facts, 'Step, depth', step.n + ', ' + token.d);
    fact(facts, 'Decoded after', milliseconds(step.at));
    fact(facts, 'This step', milliseconds(step.ms[0] + step.ms[1] + step.ms[2]));
    add(card, head, facts);
    if (token.a.length) add(card, make('p', 'sv-card-caption', 'Target’s likeliest tokens here'), alternatives(token));
    add(card, make('p', 'sv-card-hint', 'Press: this step in the Inspector'));
  }

  function place(anchor) {
    const around = stage.getBoundingClientRect();
    const box = (anchor.getClientRects()[0] || anchor.getBoundingClientRect());
    card.hidden = false;
    const { left, top } = cardPlace(box, around, { width: card.offsetWidth, height: card.offsetHeight }, window.innerHeight);
    card.style.left = left + 'px';
    card.style.top = top + 'px';
  }

  return {
    id: card.id,
    show(anchor, token, step) { fill(token, step); place(anchor); },
    hide() { card.hidden = true; },
  };
}
