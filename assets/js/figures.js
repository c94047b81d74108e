// Two small bar charts over the steps, drawn from the same log as the text. A few redraws a second.

const REDRAW_MS = 400;
const FEWEST_BARS = 40;

// One step's bars from the bottom up, as [height, class].
function emittedBar(step) { return [[step.len, 'accepted'], [step.k.length - step.len, 'next is-' + step.k[step.k.length - 1].o]]; }
function timeBar(step) { return [[step.ms[0], 'draft'], [step.ms[1], 'target'], [step.ms[2], 'host']]; }

// The height below which this share of the bars lies: a few slow steps do not flatten all others.
function highest(bars, share) {
  const totals = bars.map((bar) => bar.reduce((sum, [height]) => sum + height, 0)).sort((a, b) => a - b);
  return totals.length ? totals[Math.min(totals.length - 1, Math.floor(share * totals.length))] : 1;
}

function makeFigures(onStep) {
  const holder = make('div', 'sv-figures');
  const emitted = makeChart('Emitted tokens per step', 'tokens', 'emitted-tokens', [['accepted', 'accepted'], ['next', 'correction or target'], ['bonus', 'bonus']]);
  const time = makeChart('Time per step', 'ms', 'phase', [['draft', 'draft'], ['target', 'target'], ['host', 'host']]);
  let log = [];
  let timer = null;
  let drawnAt = 0;
  add(holder, emitted.node, time.node);
  for (const chart of [emitted, time]) chart.onPick((index) => { if (log[index]) onStep(log[index].n); });

  function draw() {
    timer = null;
    drawnAt = performance.now();
    emitted.draw(log.map(emittedBar), 1);
    time.draw(log.map(timeBar), 0.98);
  }

  function schedule() {
    if (timer !== null) return;
    timer = setTimeout(draw, Math.max(0, REDRAW_MS - (performance.now() - drawnAt)));
  }

  return {
    node: holder,
    append(steps) { log = log.concat(steps.filter((step) => step.k.length)); schedule(); },
    clear() { log = []; emitted.clear(); time.clear(); schedule(); },
    summarise(texts) { emitted.caption(texts.emitted); time.caption(texts.time); },
  };
}

function makeChart(title, unit, term, parts) {
  const figure = make('figure', 'sv-figure');
  const head = add(make('p', 'sv-figure-title', title + ' '), explain(title, [term]));
  const key = make('span', 'sv-figure-key');
  const plot = make('div', 'sv-plot');
  const topLabel = make('span', 'sv-plot-top');
  const svg = makeSvg('svg', { preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false' });
  const caption = make('figcaption', '', '');
  let bars = [];
  let drawn = 0;
  for (const [name, text] of parts) add(key, add(make('span', 'sv-key is-' + name), make('i', ''), document.createTextNode(text)));
  add(figure, add(make('div', 'sv-figure-head'), head, key), add(plot, topLabel, svg), caption);

  function bar(values, index) {
    const group = makeSvg('g', {});
    let y = 0;
    for (const [height, name] of values) {
      group.appendChild(makeSvg('rect', { x: index + 0.08, y, width: 0.84, height: Math.max(0, height), class: 'sv-bar is-' + name }));
      y += height;
    }
    return group;
  }

  return {
    node: figure,
    draw(all, share) {
      bars = all;
      for (; drawn < bars.length; drawn++) svg.appendChild(bar(bars[drawn], drawn));
      const top = highest(bars, share);
      const wide = Math.max(FEWEST_BARS, bars.length);
      svg.setAttribute('viewBox', '0 0 ' + wide + ' ' + 1.06 * top);
      topLabel.textContent = bars.length ? top.toFixed(unit === 'ms' ? 1 : 0) + ' ' + unit : '';
    },
    clear() { empty(svg); bars = []; drawn = 0; topLabel.textContent = ''; caption.textContent = ''; },
    caption(text) { caption.textContent = text; },
    onPick(callback) {
      svg.addEventListener('click', (event) => {
        const box = svg.getBoundingClientRect();
        callback(Math.floor(((event.clientX - box.left) / box.width) * Math.max(FEWEST_BARS, bars.length)));
      });
    },
  };
}
