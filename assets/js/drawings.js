// Figures as numbers (specviz/figures) to what plotly.js draws. Names and labels may be anybody's text: they pass
// through `plain`, since plotly.js reads its texts as markup.

import { shown } from './dom.js';
import { PALETTE } from './palette.js';

export const FONT = 'Segoe UI, Roboto, Helvetica Neue, Liberation Sans, system-ui, sans-serif';

// plotly.js takes `<b>`, `<a href>`, entities and, beside MathJax, `$…$` for markup: all of it as written.
export function plain(text) {
  const written = shown(String(text)).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  return written.replace(/\$/g, '&#36;').replace(/\n/g, '⏎');
}

export function isDark() { return document.body.classList.contains('dark'); }

export function shade(entry) { return entry[isDark() ? 'dark' : 'light']; }

export function pageShade(name) { return shade(PALETTE.page[name]); }

// Each method's colour, dash and marker: plain decoding is ink, the others take their places in this chart.
export function methodStyles(names) {
  const styles = {};
  let taken = 0;
  for (const name of names) {
    if (name in styles) continue;
    styles[name] = name === 'plain' ? PALETTE.plain : PALETTE.methods[taken++ % PALETTE.methods.length];
  }
  return styles;
}

function stylesOf(figure) {
  const methods = methodStyles(figure.methods || figure.series.map((series) => series.method || series.name));
  return figure.series.map((series) => {
    if (series.role) return { ...(PALETTE.phases[series.role] || PALETTE.states[series.role]), dash: 'solid', marker: 'circle' };
    return methods[series.method || series.name] || PALETTE.plain;
  });
}

function axis(given, extra) {
  const title = (given?.title || '') + (given?.unit ? ' (' + given.unit + ')' : '');
  const range = given?.range ? { range: given.range, autorange: false } : {};
  return {
    title: { text: plain(title), font: { size: 12, color: pageShade('soft') }, standoff: 8 },
    type: given?.categories ? 'category' : given?.log ? 'log' : 'linear',
    rangemode: given?.zero ? 'tozero' : 'normal',
    gridcolor: pageShade('line'), linecolor: pageShade('strong-line'), zeroline: false, showline: true, ticks: 'outside', ticklen: 4,
    tickcolor: pageShade('strong-line'), tickfont: { size: 11, color: pageShade('soft') }, automargin: true, tickmode: 'auto', fixedrange: false,
    ...range, ...(given?.every ? { tickmode: 'linear', tick0: 0, dtick: given.every } : {}), ...extra,
  };
}

function layoutOf(figure) {
  return {
    font: { family: FONT, size: 12, color: pageShade('ink') },
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    margin: { l: 48, r: 14, t: 10, b: 42 },
    xaxis: axis(figure.x, { showgrid: false }), yaxis: axis(figure.y),
    showlegend: figure.series ? figure.series.length > 1 : false,
    legend: { orientation: 'h', traceorder: 'normal', x: 0, y: 1.02, yanchor: 'bottom', font: { size: 12 } },
    hoverlabel: hoverLabel(), hovermode: figure.hover || 'closest', dragmode: dragOf('zoom'), uirevision: figure.revision || 'kept', shapes: marksOf(figure), annotations: notesOf(figure),
  };
}

export function hoverLabel() {
  return { bgcolor: pageShade('ink'), font: { color: pageShade('paper'), family: FONT, size: 12 }, align: 'left', namelength: -1 };
}

// A finger that moves over a chart scrolls the page.
export function dragOf(mode) { return window.matchMedia('(pointer: coarse)').matches ? false : mode; }

// Reference lines such as `speedup = 1`.
function marksOf(figure) {
  return (figure.marks || []).map((mark) => {
    const line = { color: pageShade('soft'), width: 1.2, dash: 'dot' };
    return mark.x === undefined
      ? { type: 'line', xref: 'paper', x0: 0, x1: 1, y0: mark.y, y1: mark.y, line }
      : { type: 'line', yref: 'paper', y0: 0, y1: 1, x0: mark.x, x1: mark.x, line };
  });
}

function notesOf(figure) {
  return (figure.marks || []).filter((mark) => mark.text).map((mark) => ({
    text: plain(mark.text), showarrow: false, font: { size: 11, color: pageShade('soft') },
    ...(mark.x === undefined ? { xref: 'paper', x: 1, xanchor: 'right', y: mark.y, yanchor: 'bottom' } : { yref: 'paper', y: 1, yanchor: 'top', x: mark.x, xanchor: 'left' }),
  }));
}

export function spokenPoint(figure, series, index) {
  if (series.labels && series.labels[index] !== undefined) return (figure.hover === 'x' ? '' : series.name + ': ') + series.labels[index];
  const unit = (given) => (given?.unit ? ' ' + given.unit : '');
  return series.name + ': ' + figureNumber(series.y[index]) + unit(figure.y) + ' at ' + figureNumber(series.x[index]) + unit(figure.x);
}

function figureNumber(value) {
  if (value === null || value === undefined) return '–';
  return typeof value === 'number' ? String(Number(value.toPrecision(4))) : String(value);
}

function hovers(figure, series) {
  if (series.isSilent) return { hoverinfo: 'skip' };
  return { hoverinfo: 'text', hovertext: series.x.map((_, index) => plain(spokenPoint(figure, series, index))) };
}

function spread(series) {
  if (!series.low || !series.high) return {};
  const up = series.high.map((value, index) => value - series.y[index]);
  const down = series.low.map((value, index) => series.y[index] - value);
  return { error_y: { type: 'data', symmetric: false, array: up, arrayminus: down, thickness: 1.2, width: 3, color: pageShade('soft') } };
}

function category(figure, values) { return figure.x?.categories ? values.map(plain) : values; }

function lineTrace(figure, series, style) {
  const isShort = figure.markers !== false && series.x.length <= 60;
  return {
    type: 'scatter', mode: isShort ? 'lines+markers' : 'lines', name: plain(series.name), x: category(figure, series.x), y: series.y, connectgaps: false,
    line: { color: shade(style), width: 2, dash: style.dash, shape: series.shape || 'linear' }, marker: { symbol: style.marker, size: 7, color: shade(style) },
    ...spread(series), ...hovers(figure, series),
  };
}

// A second cue where grey stands beside grey.
function hatched(series) {
  return series.isHatched ? { pattern: { shape: '/', size: 6, solidity: 0.35, fgcolor: pageShade('soft'), bgcolor: pageShade('sheet'), fillmode: 'replace' } } : {};
}

function barTrace(figure, series, style) {
  const along = category(figure, series.x);
  return {
    type: 'bar', name: plain(series.name), ...(figure.isAcross ? { x: series.y, y: along, orientation: 'h' } : { x: along, y: series.y }), marker: { color: shade(style), line: { color: pageShade('sheet'), width: 0.5 }, ...hatched(series) },
    ...spread(series), ...hovers(figure, series),
  };
}

// Many stacked steps as areas: one line each, however many there are.
function layerTrace(figure, series, style) {
  return {
    type: 'scatter', mode: 'lines', stackgroup: series.isBelow ? 'below' : 'above', name: plain(series.name), x: series.x, y: series.y, fillcolor: shade(style),
    line: { width: 0, shape: 'hvh', color: shade(style) }, hoveron: 'points', ...hovers(figure, series),
  };
}

function pointTrace(figure, series, style) {
  return {
    type: 'scatter', mode: series.texts ? 'markers+text' : 'markers', name: plain(series.name), x: category(figure, series.x), y: series.y,
    text: series.texts ? series.texts.map(plain) : undefined, textposition: series.place || 'top center', textfont: { size: 11, color: pageShade('ink') },
    marker: { symbol: style.marker + (series.isOpen ? '-open' : ''), size: 11, color: shade(style), line: { color: series.isOpen ? shade(style) : pageShade('sheet'), width: series.isOpen ? 1.6 : 1 } }, ...spread(series), ...hovers(figure, series),
  };
}

// `rows` × `columns` of `values` with a word in each cell; blue above `middle`, orange below, paper at it.
function heatTrace(figure) {
  const flat = figure.values.flat().filter((value) => value !== null);
  const reach = Math.max(0.05, ...flat.map((value) => Math.abs(value - figure.middle)));
  const low = isDark() ? '#b4530a' : '#f0a36b', high = isDark() ? '#1f6fa5' : '#6db3dd';
  const words = figure.labels || figure.values.map((row) => row.map(figureNumber));
  return {
    type: 'heatmap', x: figure.columns.map(plain), y: figure.rows.map(plain), z: figure.values, zmid: figure.middle, zmin: figure.middle - reach, zmax: figure.middle + reach,
    colorscale: [[0, low], [0.5, pageShade('sheet')], [1, high]], showscale: false, xgap: 2, ygap: 2,
    text: (figure.texts || figure.values.map((row) => row.map(figureNumber))).map((row) => row.map(plain)), texttemplate: '%{text}', textfont: { size: 12, color: pageShade('ink') },
    hoverinfo: 'text', hovertext: words.map((row, r) => row.map((word, c) => plain(figure.rows[r] + ', ' + figure.columns[c] + ': ' + word))),
  };
}

const TRACES = { lines: lineTrace, bars: barTrace, stacked: barTrace, layers: layerTrace, points: pointTrace };

// What hangs below the other series, on a scale of its own that grows downwards.
function belowAxes(figure) {
  return { yaxis: axis(figure.y, { domain: [0.42, 1] }), yaxis2: axis(figure.below, { domain: [0, 0.3], autorange: 'reversed' }), xaxis: axis(figure.x, { showgrid: false, anchor: 'y2' }) };
}

// Bars that lie, the first category on top: names of some length are read beside them.
function acrossAxes(figure) {
  return { xaxis: axis(figure.y), yaxis: axis(figure.x, { showgrid: false, ticks: '', autorange: 'reversed', fixedrange: true }) };
}

// { data, layout } for Plotly.react. Throws where the kind is none of ours.
export function drawing(figure) {
  const layout = layoutOf(figure);
  if (figure.kind === 'heat') {
    layout.xaxis = axis({ ...figure.x, categories: true }, { showgrid: false, showline: false, ticks: '', side: 'top' });
    layout.yaxis = axis({ ...figure.y, categories: true }, { showgrid: false, showline: false, ticks: '', autorange: 'reversed' });
    return { data: [heatTrace(figure)], layout: { ...layout, margin: { l: 60, r: 14, t: 30, b: 10 } } };
  }
  if (!(figure.kind in TRACES)) throw new Error('no such figure: ' + figure.kind);
  const styles = stylesOf(figure);
  layout.barmode = figure.kind === 'stacked' ? 'stack' : 'group';
  if (figure.showsLegend !== undefined) layout.showlegend = figure.showsLegend;
  if (figure.isAcross) Object.assign(layout, acrossAxes(figure));
  if (figure.below) Object.assign(layout, belowAxes(figure), { bargap: 0.12 });
  const trace = (series, index) => ({ ...TRACES[series.kind || figure.kind](figure, series, styles[index]), ...(series.isBelow ? { yaxis: 'y2' } : {}) });
  return { data: figure.series.map(trace), layout };
}

// The same numbers as rows of text, for the table beside a chart.
export function tableOf(figure) {
  if (figure.table) return figure.table;
  if (figure.kind === 'heat') {
    const words = figure.labels || figure.values.map((row) => row.map(figureNumber));
    return { head: ['', ...figure.columns], rows: figure.rows.map((name, index) => [name, ...words[index]]) };
  }
  const xs = [...new Set(figure.series.flatMap((series) => series.x))];
  const places = figure.series.map((series) => new Map(series.x.map((x, index) => [x, index])));
  const cell = (series, index) => index === undefined ? '–' : figureNumber(series.y[index]);
  return { head: [figure.x?.title || '', ...figure.series.map((series) => series.name)],
    rows: xs.map((x) => [figureNumber(x), ...figure.series.map((series, at) => cell(series, places[at].get(x)))]) };
}
