// Runs side by side: warnings first, then what differs, figures, paired differences and charts laid over each other.

import { add, empty, make, makeButton, makeHead, shown } from './dom.js';
import { makePlot } from './plot.js';
import { explain } from './tooltip.js';

const CHARTS = ['tokens', 'differences', 'acceptance', 'split'];

export function makeSideBySide(plotlyPath, onOpen, onClose) {
  const node = make('section', 'sv-sides');
  const head = make('div', 'sv-sides-head');
  const body = make('div', 'sv-sides-body');
  const charts = make('div', 'sv-sides-charts');
  const close = makeButton('sv-button', 'Close', onClose);
  const made = {};
  node.hidden = true;
  node.setAttribute('aria-label', 'Comparison');
  for (const name of CHARTS) {
    made[name] = makePlot({ path: plotlyPath, name: 'specviz-' + name, height: 280 });
    add(charts, made[name].node);
  }
  add(node, add(head, make('h2', 'sv-sides-title', 'Side by side'), close), body, charts);

  function table(names, rows, caption, terms = {}) {
    const found = make('table', 'sv-table sv-sides-table');
    const line = add(make('tr', ''), makeHead(''));
    for (const run of names) {
      const th = makeHead('');
      const open = Object.assign(makeButton('sv-open', shown(run.label)), { title: run.when });
      open.addEventListener('click', () => onOpen(run.id));
      add(line, add(th, open));
    }
    const lines = make('tbody', '');
    for (const [name, ...values] of rows) {
      const head = makeHead(shown(name), '', 'row');
      if (terms[name]) add(head, document.createTextNode(' '), explain(name, [terms[name]]));
      const tr = add(make('tr', ''), head);
      for (const value of values) add(tr, add(make('td', ''), make('bdi', '', shown(value))));
      add(lines, tr);
    }
    return add(make('div', 'sv-table-box'), add(found, make('caption', 'sv-sides-caption', caption), add(make('thead', ''), line), lines));
  }

  function draw(found) {
    empty(body);
    node.hidden = !found;
    if (!found) return;
    charts.hidden = Boolean(found.error);
    if (found.error) { add(body, make('p', 'sv-alert', found.error)); return; }
    if (found.warnings.length) {
      const list = make('ul', 'sv-warnings');
      list.setAttribute('aria-label', 'Warnings');
      for (const text of found.warnings) add(list, make('li', '', text));
      add(body, list);
    }
    const same = found.same === 1 ? 'One setting is the same.' : found.same + ' settings are the same.';
    const settings = found.settings.length ? 'Settings that differ. ' + same : 'All settings are the same.';
    add(body, table(found.runs, found.measures, 'Figures', found.terms), table(found.runs, found.settings, settings));
    const pairs = make('ul', 'sv-pairs');
    for (const pair of found.paired) add(pairs, make('li', '', shown(pair.label) + ' against ' + shown(found.runs[0].label) + ': ' + pair.text));
    add(body, add(make('p', 'sv-sides-caption', 'Paired difference '), explain('Paired difference', ['paired-difference'])), pairs);
    for (const name of CHARTS) made[name].node.hidden = !found.figures[name].series.length;
    for (const name of CHARTS) if (found.figures[name].series.length) made[name].draw(found.figures[name]);
  }

  return { node, draw };
}
