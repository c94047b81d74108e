// The draft tree as a drawing: layers from left to right, status by shape and colour, size by draft probability,
// edge width by target probability. Any node by mouse or keyboard.

const NARROWEST = 104;
const WIDEST = 168;
const ROW = 46;
const MARGIN = { left: 46, top: 46, right: 60, bottom: 20 };
const LONGEST_LABEL = 12;

// Most tokens begin with a space: it is left out where something follows.
function shortLabel(text) {
  const label = spelled(/^ \S/.test(text) ? text.slice(1) : text);
  return [...label].length > LONGEST_LABEL ? [...label].slice(0, LONGEST_LABEL - 1).join('') + '…' : label;
}

// onPick(node): a node's index, -1 the root, 'next' the token that the target added.
function makeTree(onPick) {
  const holder = make('div', 'sv-tree');
  const svg = makeSvg('svg', { class: 'sv-tree-svg', role: 'group' });
  let trace = null;
  let step = null;
  let layout = null;
  let marks = new Map();
  let labels = null;
  let chosen = null;
  let pitch = NARROWEST;
  holder.appendChild(svg);

  function x(column) { return MARGIN.left + column * pitch; }
  function y(row) { return MARGIN.top + row * ROW; }

  function radius(q) { return q === null || q === undefined ? 7 : 4.5 + 7 * Math.sqrt(q); }
  function thickness(p) { return p === null || p === undefined ? 1.5 : 0.8 + 5.2 * p; }

  function edge(from, to, p, name) {
    const x1 = x(from.column), y1 = y(from.row), x2 = x(to.column), y2 = y(to.row), middle = x1 + pitch * 0.45;
    const d = y1 === y2 ? `M${x1} ${y1}H${x2}` : `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
    return makeSvg('path', { d, class: 'sv-edge is-' + name, 'stroke-width': thickness(p).toFixed(2) });
  }

  // Each status has a shape of its own: disc, crossed ring, small ring, square, diamond.
  function shapeOf(name, r) {
    if (name === 'bonus') return [makeSvg('rect', { x: -r, y: -r, width: 2 * r, height: 2 * r, transform: 'rotate(45)', class: 'sv-shape' })];
    if (name === 'correction' || name === 'plain' || name === 'root') return [makeSvg('rect', { x: -r, y: -r, width: 2 * r, height: 2 * r, rx: 1.5, class: 'sv-shape' })];
    const shapes = [makeSvg('circle', { r, class: 'sv-shape' })];
    const c = r * 0.55;
    if (name === 'rejected') shapes.push(makeSvg('path', { d: `M${-c} ${-c}L${c} ${c}M${-c} ${c}L${c} ${-c}`, class: 'sv-cross' }));
    return shapes;
  }

  function mark(key, at, name, r, text, spoken) {
    const group = makeSvg('g', { class: 'sv-node is-' + name, transform: `translate(${x(at.column)} ${y(at.row)})`, role: 'button', tabindex: -1, 'aria-pressed': 'false', 'aria-label': spoken });
    add(group, makeSvg('circle', { r: Math.max(r + 5, 14), class: 'sv-hit' }), ...shapeOf(name, r));
    write(key, x(at.column), y(at.row) - r - 6, shortLabel(text), 'sv-node-label is-' + name, 'middle');
    group.dataset.node = key;
    marks.set(key, { group, at });
    return group;
  }

  // Beside the marks, not in them: their spoken names have the text whole.
  function write(key, left, top, text, name, anchor) {
    const label = makeSvg('text', { x: left, y: top, 'text-anchor': anchor, class: name });
    label.textContent = text;
    label.dataset.node = key;
    labels.appendChild(label);
  }

  function spokenNode(node) {
    return spelled(trace.pieces[step.t[node]]) + ', ' + SPOKEN[STATUS[step.s[node]]] + ', draft ' + probability(step.q[node]) + ', target ' + probability(step.p[node]);
  }

  function drawNodes(edges, nodes) {
    for (const [node, at] of layout.places) {
      if (node === 'next' || node < 0) continue;
      const name = STATUS[step.s[node]];
      edges.push(edge(layout.places.get(step.up[node]), at, step.p[node], name));
      nodes.push(mark(String(node), at, name, radius(step.q[node]), trace.pieces[step.t[node]], spokenNode(node)));
      if (layout.folded.has(node)) write(String(node), x(at.column) + 16, y(at.row) + 4, '+' + layout.folded.get(node), 'sv-folded', 'start');
    }
  }

    // The target's own token, behind the last accepted node.
  function drawNext(edges, nodes) {
    const at = layout.places.get('next');
    if (!at) return;
    const next = step.k[step.k.length - 1], last = step.path.length ? step.path[step.path.length - 1] : -1;
    edges.push(edge(layout.places.get(last), at, next.p, next.o));
    nodes.push(mark('next', at, next.o, 7, trace.pieces[next.raw], spelled(trace.pieces[next.raw]) + ', ' + SPOKEN[next.o] + ', target ' + probability(next.p)));
  }

  function heads() {
    const names = [];
    for (let depth = 1; depth <= layout.columns; depth++) {
      names.push(Object.assign(makeSvg('text', { x: x(depth), y: 11, 'text-anchor': 'middle', class: 'sv-depth' }), { textContent: depth === 1 ? 'depth 1' : String(depth) }));
    }
    return names;
  }

  // Columns as wide as the run's deepest tree allows, so that they stay where they are from step to step.
  function fit() {
    const deepest = Math.max(1, ...trace.steps.map((each) => Math.max(0, ...depthsOf(each)) + 1));
    const room = (holder.clientWidth || 700) - MARGIN.left - MARGIN.right;
    pitch = Math.min(WIDEST, Math.max(NARROWEST, room / deepest));
  }

  function draw(nextTrace, nextStep, rootText) {
    if (trace !== nextTrace) { trace = nextTrace; fit(); }
    step = nextStep;
    layout = placed(step);
    marks = new Map();
    const edges = [], nodes = [];
    labels = makeSvg('g', { 'aria-hidden': 'true', class: 'sv-labels' });
    const root = mark('-1', { column: 0, row: 0 }, 'root', 6, rootText, 'Root: ' + spelled(rootText) + ', the last token before this step');
    drawNodes(edges, nodes);
    drawNext(edges, nodes);
    const wide = x(layout.columns) + MARGIN.right, high = y(layout.rows - 1) + MARGIN.bottom;
    svg.setAttribute('width', wide);
    svg.setAttribute('height', high);
    svg.setAttribute('viewBox', `0 0 ${wide} ${high}`);
    svg.setAttribute('aria-label', 'Draft tree of step ' + step.n + '. ' + storyOf(trace, step) + ' Arrow keys go from node to node.');
    svg.replaceChildren(...heads(), ...edges, root, ...nodes, labels);
  }

  function choose(key, hasFocus) {
    if (!marks.has(key)) key = '-1';
    if (marks.has(chosen)) { const old = marks.get(chosen).group; old.setAttribute('aria-pressed', 'false'); old.setAttribute('tabindex', '-1'); }
    chosen = key;
    const now = marks.get(key).group;
    now.setAttribute('aria-pressed', 'true');
    now.setAttribute('tabindex', '0');
    if (hasFocus) now.focus();
    return key;
  }

  // Right: first child. Left: parent. Down and up: the next mark of the same column.
  function neighbour(key, arrow) {
    const node = key === 'next' ? null : Number(key);
    if (arrow === 'ArrowLeft') return node === null ? String(step.path.length ? step.path[step.path.length - 1] : -1) : String(node < 0 ? -1 : step.up[node]);
    if (arrow === 'ArrowRight') {
      const below = node === null ? [] : layout.children[node + 1].map(String).filter((child) => marks.has(child));
      if (below.length) return below[0];
      const last = step.path.length ? step.path[step.path.length - 1] : -1;
      return node === last && marks.has('next') ? 'next' : key;
    }
    const column = marks.get(key).at.column;
    const same = [...marks].filter(([, mark]) => mark.at.column === column).sort((a, b) => a[1].at.row - b[1].at.row).map(([name]) => name);
    const place = same.indexOf(key) + (arrow === 'ArrowDown' ? 1 : -1);
    return same[Math.min(same.length - 1, Math.max(0, place))];
  }

  function keyOf(event) { return event.target instanceof Element ? event.target.closest('[data-node]')?.dataset.node : undefined; }

  svg.addEventListener('click', (event) => { const key = keyOf(event); if (key !== undefined) onPick(key, true); });
  svg.addEventListener('keydown', (event) => {
    const key = keyOf(event);
    if (key === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); onPick(key, true); }
    if (!event.key.startsWith('Arrow')) return;
    event.preventDefault();
    event.stopPropagation();
    onPick(neighbour(key, event.key), true);
  });

  return { node: holder, svg, draw, choose };
}
