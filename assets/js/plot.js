// One chart: plotly.js on demand from our own server, a caption, the numbers as a table, PNG and SVG. No Python needed.

import { add, empty, make, makeButton, makeHead, shown } from './dom.js';
import { drawing, pageShade, spokenPoint, tableOf } from './drawings.js';
import { explain } from './tooltip.js';

const PLOT_CONFIG = { displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: 'reset', showTips: false };
const AT_ONCE = { mode: 'immediate', transition: { duration: 0 }, frame: { duration: 0, redraw: false } };
const ARROWS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };

// plotly.js, loaded once for the page when the first chart is drawn.
export function loadPlotly(path) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  window.specvizPlotly = window.specvizPlotly || new Promise((resolve, reject) => {
    const tag = document.createElement('script');
    tag.src = path;
    tag.addEventListener('load', () => resolve(window.Plotly));
    tag.addEventListener('error', () => { window.specvizPlotly = undefined; reject(new Error('plotly.js is not there')); });
    document.head.appendChild(tag);
  });
  return window.specvizPlotly;
}

// Where a page has a base, plotly.js writes the page's whole address into each reference to a pattern or a clip path. Ours
// changes, and then they lead nowhere. It looks once, when a chart is first drawn.
function withoutBase(draw) {
  const base = document.querySelector('base[href]'), href = base?.getAttribute('href');
  base?.removeAttribute('href');
  try { return draw(); } finally { base?.setAttribute('href', href); }
}

function numbersTable(table, caption) {
  const node = make('table', 'sv-plot-table');
  const head = make('tr', '');
  for (const name of table.head) add(head, makeHead(shown(String(name))));
  const body = make('tbody', '');
  for (const row of table.rows) {
    const line = make('tr', '');
    row.forEach((value, index) => add(line, Object.assign(make(index ? 'td' : 'th', '', shown(String(value))), index ? {} : { scope: 'row' })));
    add(body, line);
  }
  return add(node, make('caption', 'sv-visually-hidden', caption), add(make('thead', ''), head), body);
}

// options: { path: of plotly.js, name: of a saved file, height: px, onPick({ series, index, key }) }. A figure of another
// kind than ours brings `drawing`; whose parts no arrow can find by itself, `walk(arrow)`, which says where it has come to;
// one that scrolls is as large as its layout says; `isMoving`: one that is drawn often, its layout mostly the same. Returns { node, draw, resize, head, tools, scroller }.
export function makePlot(options) {
  const figureNode = make('figure', 'sv-chart');
  const head = make('div', 'sv-chart-head');
  const title = make('p', 'sv-chart-title');
  const tip = make('span', 'sv-chart-tip');
  const tools = make('span', 'sv-chart-tools');
  const scroller = make('div', 'sv-chart-scroller');
  const plot = make('div', 'sv-chart-plot');
  const caption = make('figcaption', 'sv-chart-caption');
  const details = make('details', 'sv-chart-numbers');
  const tableHolder = make('div', 'sv-chart-table');
  const spoken = make('p', 'sv-visually-hidden');
  const config = { ...PLOT_CONFIG, ...(options.isScrolled ? { responsive: false, doubleClick: false } : {}) };
  let figure = null;
  let at = [0, -1];
  let isDrawn = false;
  let frame = ''; // the layout that was drawn last
  if (!options.isScrolled) resize(options.height || 260);
  plot.tabIndex = 0;
  plot.setAttribute('role', 'group');
  spoken.setAttribute('aria-live', 'polite');
  for (const format of ['PNG', 'SVG']) {
    const button = makeButton('sv-chart-save', format, () => save(format.toLowerCase()));
    button.setAttribute('aria-label', 'Download this ' + (options.what || 'chart') + ' as ' + format);
    add(tools, button);
  }
  tableHolder.tabIndex = 0; // a long one scrolls within itself
  tableHolder.setAttribute('role', 'group');
  tableHolder.setAttribute('aria-label', 'Numbers');
  add(details, make('summary', '', 'Numbers'), tableHolder);
  add(figureNode, add(head, title, tip, tools), add(scroller, plot), caption, details, spoken);
  new MutationObserver(() => { if (figure) draw(figure); }).observe(document.body, { attributes: true, attributeFilter: ['class'] });
  if (!options.isScrolled) new ResizeObserver(() => { if (isDrawn && plot.offsetParent !== null) window.Plotly.Plots.resize(plot); }).observe(plot);
  plot.addEventListener('keydown', onKey);
  details.addEventListener('toggle', showNumbers);

  async function draw(next) {
    figure = next;
    title.textContent = shown(figure.title || '');
    showTip();
    caption.textContent = shown(figure.caption || '');
    caption.hidden = !figure.caption;
    plot.setAttribute('aria-label', figure.spoken || (figure.title || 'Chart') + '. Arrow keys go from point to point; the numbers are in the table below.');
    showNumbers();
    const Plotly = await loadPlotly(options.path);
    if (next !== figure) return; // a later one has come while the library was read
    const { data, layout } = (options.drawing || drawing)(figure);
    if (options.isScrolled) Object.assign(plot.style, { width: layout.width + 'px', height: layout.height + 'px' });
    if (isDrawn) return drawOn(Plotly, data, layout);
    await withoutBase(() => Plotly.react(plot, data, layout, config));
    frame = JSON.stringify(layout);
    isDrawn = true;
    plot.on('plotly_click', ({ points: [point] }) => {
      if (options.drawing) options.onPick({ key: point.customdata });
      else if (figure.kind === 'heat') pickField(...point.pointNumber);
      else pick(point.curveNumber, point.pointNumber);
    });
    plot.on('plotly_doubleclick', () => { if (options.onReset) options.onReset(); });
  }

  // Where all but the marks stays, as in most steps of a tree, they are moved, and neither axes nor margins are drawn anew. What a
  // later drawing overtakes is never drawn. The configuration is given once: with it, the element is measured each time.
  async function drawOn(Plotly, data, layout) {
    const before = frame;
    frame = JSON.stringify(layout);
    if (!options.isMoving || frame !== before || data.length !== plot.data.length) await Plotly.react(plot, data, layout);
    else await Plotly.animate(plot, { data, traces: data.map((_, place) => place) }, AT_ONCE).catch(() => {});
  }

  function showTip() {
    const terms = figure.terms || [];
    if (tip.dataset.terms === terms.join()) return;
    tip.dataset.terms = terms.join();
    tip.replaceChildren(...(terms.length ? [explain(figure.title, terms)] : []));
  }

  function showNumbers() {
    details.hidden = figure !== null && figure.hasNoNumbers === true;
    if (!details.open || !figure || details.hidden) return;
    empty(tableHolder);
    add(tableHolder, numbersTable(tableOf(figure), figure.title || 'Numbers'));
  }

  function pick(series, index) {
    if (options.onPick && figure.series) options.onPick({ series: figure.series[series].name, index, key: figure.series[series].keys?.[index] ?? null });
  }

  function pickField(row, column) {
    if (options.onPick && figure.values[row][column] !== null) options.onPick({ row: figure.rows[row], column: figure.columns[column] });
  }

  function onKey(event) {
    if (!figure || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Enter') { if (options.onEnter) options.onEnter(); else if (at[1] >= 0) pick(...at); }
    if (!(event.key in ARROWS) || !(options.walk || (figure.series && isDrawn))) return;
    event.preventDefault();
    event.stopPropagation();
    spoken.textContent = shown(options.walk ? options.walk(event.key) : step(...ARROWS[event.key]));
  }

  // To the next point of a series, or to the next series; what is there, in words.
  function step(down, right) {
    const series = Math.min(figure.series.length - 1, Math.max(0, at[0] + down));
    const last = figure.series[series].x.length - 1;
    at = [series, Math.min(last, Math.max(0, at[1] + right))];
    window.Plotly.Fx.hover(plot, [{ curveNumber: at[0], pointNumber: at[1] }]);
    return spokenPoint(figure, figure.series[at[0]], at[1]);
  }

  // As it is on screen, zoom included, on the sheet's own colour: what is written light is to be read anywhere.
  function save(format) {
    if (!isDrawn) return;
    const picture = { data: plot.data, layout: { ...plot.layout, paper_bgcolor: pageShade('sheet') } };
    const box = plot.getBoundingClientRect();
    window.Plotly.downloadImage(picture, { format, filename: figure.file || options.name || 'specviz', width: Math.round(box.width), height: Math.round(box.height), scale: format === 'png' ? 2 : 1 });
  }

  function resize(height) { plot.style.height = height + 'px'; }

  return { node: figureNode, draw, resize, head, tools, scroller };
}
