// What is known of one node of the tree: its probabilities, the target's alternatives, and what became of it.

import { add, empty, make, probability, spelled } from './dom.js';
import { judgementsOf, outputPlace, pathTo, reasonOf, SPOKEN, STATUS, storyOf, survival } from './drafttree.js';

export function makeNodeCard() {
  const card = make('section', 'sv-nodecard');
  card.setAttribute('aria-label', 'The chosen node');

  function row(list, name, value) { add(list, make('dt', '', name), make('dd', '', value)); }

  function bars(pairs) {
    const list = make('ul', 'sv-bars');
    for (const [name, p, kind] of pairs) {
      const bar = make('span', 'sv-bars-bar is-' + kind);
      bar.style.setProperty('--share', 100 * (p || 0) + '%');
      add(list, add(make('li', ''), make('span', 'sv-bars-name', name), bar, make('span', 'sv-bars-p', probability(p))));
    }
    return list;
  }

  function alternatives(trace, token, ids) {
    const list = make('ol', 'sv-bars');
    for (const [text, id, p] of token.a) {
      const line = make('li', ids.includes(id) ? 'is-chosen' : '');
      const bar = make('span', 'sv-bars-bar is-target');
      bar.style.setProperty('--share', 100 * p + '%');
      add(list, add(line, make('bdi', 'sv-bars-name', spelled(trace.pieces[text])), bar, make('span', 'sv-bars-p', probability(p))));
    }
    return list;
  }

  function showJudged(facts, numbers) {
    const [ratio, drawn, overlap, left, chance] = numbers.map((number) => number === null ? '–' : number.toFixed(3));
    if (chance === undefined) row(facts, 'Target ÷ draft, number drawn', ratio + ', ' + drawn);
    else row(facts, 'Chain holds to here with, number drawn', chance + ', ' + drawn);
    row(facts, 'Overlap, residual mass', overlap + ', ' + left);
  }

  function head(text, name) {
    return add(make('p', 'sv-nodecard-head'), make('bdi', 'sv-card-token', spelled(text)), make('span', 'sv-card-origin is-' + name, SPOKEN[name] || 'root'));
  }

  function showNode(trace, step, node) {
    const name = STATUS[step.s[node]], place = outputPlace(step, node), facts = make('dl', 'sv-card-facts');
    const words = pathTo(step, node).map((index) => spelled(trace.pieces[step.t[index]]));
    const judgements = judgementsOf(step, node);
    const chance = judgements === null && trace.run.judgedBy === 'ratio' ? survival(step, node, trace.run.judgedBy) : null;
    row(facts, 'Node, depth', node + ', ' + words.length);
    row(facts, 'Token id', String(step.id[node]));
    if (name !== 'unreached') for (const numbers of judgements || []) showJudged(facts, numbers);
    if (chance !== null) row(facts, 'min(1, target ÷ draft)', probability(chance));
    add(card, head(trace.pieces[step.t[node]], name), make('p', 'sv-nodecard-why', reasonOf(trace, step, node)),
      bars([['Draft', step.q[node], 'draft'], ['Target', step.p[node], 'target']]), add(make('p', 'sv-nodecard-path', 'Path '), make('bdi', '', words.join(' '))), facts);
    if (place >= 0 && step.k[place].a.length) add(card, make('p', 'sv-card-caption', 'Target’s likeliest tokens here'), alternatives(trace, step.k[place], [step.id[node], step.k[place].id]));
    else if (place < 0) add(card, make('p', 'sv-card-caption', 'The target’s alternatives are recorded along the output only.'));
  }

  function showNext(trace, step) {
    const next = step.k[step.k.length - 1], facts = make('dl', 'sv-card-facts');
    row(facts, 'Token id', String(next.id));
    add(card, head(trace.pieces[next.raw], next.o), make('p', 'sv-nodecard-why', storyOf(trace, step)), bars([['Target', next.p, 'target']]), facts);
    if (next.a.length) add(card, make('p', 'sv-card-caption', 'Target’s likeliest tokens here'), alternatives(trace, next, [next.id]));
  }

  function showRoot(trace, step, rootText) {
    add(card, head(rootText, 'root'), make('p', 'sv-nodecard-why', 'The last token before this step. ' + storyOf(trace, step)));
  }

  return {
    node: card,
    show(trace, step, key, rootText) {
      empty(card);
      if (key === 'next') showNext(trace, step);
      else if (Number(key) >= 0) showNode(trace, step, Number(key));
      else showRoot(trace, step, rootText);
    },
  };
}
