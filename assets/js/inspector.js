// One run, step by step: ruler, tree, node, text, times. Given a trace (specviz/showing/trace.py) it asks nobody for anything.

import { makeAcceptance } from './acceptanceview.js';
import { makeCalculator } from './calculatorview.js';
import { makeConfidence } from './confidenceview.js';
import { add, make, makeButton, makeSvg, shown, shownBehind, spelled } from './dom.js';
import { hasRejection, isFullAccept, STATUS, storyOf } from './drafttree.js';
import { makeLines, tokenNodes } from './lines.js';
import { makeMarkdownSwitch } from './markdown.js';
import { linesBefore } from './markup.js';
import { makeNodeCard } from './nodecard.js';
import { makeRuler } from './ruler.js';
import { drawCuts, drawMask, makeFold, makeNodeTable, makePhases } from './steppanels.js';
import { explain } from './tooltip.js';
import { roomOf } from './treedrawing.js';
import { makeTree } from './treeview.js';

const NEAR_TOKENS = 90;
const PLAY_MS = 260;

// options: { onStep(index), isSmall }. Returns { node, load(trace, index), go(index), choose(key), step() }.
export function makeInspector(options = {}) {
  const root = make('section', 'sv-inspector');
  const title = make('p', 'sv-inspector-run');
  const meta = make('p', 'sv-inspector-meta');
  const story = make('p', 'sv-inspector-story');
  const counter = make('output', 'sv-inspector-counter');
  const text = make('div', 'sv-inspector-text');
  const lines = makeLines(text);
  const spoken = make('p', 'sv-visually-hidden');
  const ruler = makeRuler((index) => go(index));
  const tree = makeTree({ onPick: choose });
  const card = makeNodeCard();
  const phases = makePhases();
  const cuts = makeFold('What if it had drafted less?', 'sv-whatif', drawCuts);
  const acceptance = makeAcceptance();
  const calculator = makeCalculator();
  const confidence = makeConfidence();
  const mask = makeFold('Attention mask', 'sv-masks', drawMask);
  const nodes = makeNodeTable(choose);
  let trace = null;
  let starts = [];
  let before = []; // for each token the line that it goes on with
  let room = null;
  let at = 0;
  let chosen = '-1';
  let timer = null;
  let scrolling = 0;

  const buttons = {
    first: tool('|◀', 'First step', () => go(0)),
    back: tool('◀', 'Step back', () => go(at - 1)),
    play: tool('▶ Play', 'Play through the steps', play),
    on: tool('▶', 'Step on', () => go(at + 1)),
    last: tool('▶|', 'Last step', () => go(trace.steps.length - 1)),
    rejection: tool('Next rejection', 'Go to the next step in which a draft was rejected (key R)', () => seek(hasRejection), 'R'),
    full: tool('Next full accept', 'Go to the next step whose path survived to its end (key F)', () => seek(isFullAccept), 'F'),
  };

  function tool(label, spokenLabel, action, key) {
    const button = makeButton('sv-tool', label, action);
    button.title = spokenLabel;
    if (key) add(button, make('kbd', '', key));
    else button.setAttribute('aria-label', spokenLabel);
    return button;
  }

  function build() {
    spoken.setAttribute('aria-live', 'polite');
    text.tabIndex = 0; // a long one scrolls within itself on a narrow page
    text.setAttribute('role', 'group');
    text.setAttribute('aria-label', 'The text around this step');
    const moves = add(make('div', 'sv-tools'), ...Object.values(buttons), counter);
    moves.setAttribute('role', 'toolbar');
    moves.setAttribute('aria-label', 'Steps');
    const key = add(make('p', 'sv-tree-key', 'Size: draft probability. Line: target probability. '), explain('target and draft probability', ['target-probability']));
    const names = [['accepted', 'accepted'], ['rejected', 'rejected'], ['unreached', 'never considered'], ['correction', 'target’s own'], ['bonus', 'bonus']];
    const legend = make('ul', 'sv-tree-legend');
    for (const [name, label] of names) add(legend, add(make('li', ''), sample(name), make('span', '', label)));
    const saveNumbers = makeButton('sv-chart-save', 'JSON', saveStep);
    saveNumbers.setAttribute('aria-label', 'Download this step as JSON');
    tree.head.prepend(legend);
    tree.tools.prepend(saveNumbers);
    const left = add(make('div', 'sv-inspector-left'), tree.node, key, add(make('div', 'sv-inspector-texthead'), make('p', 'sv-panel-title', 'Text around this step'), makeMarkdownSwitch()), text);
    const right = add(make('div', 'sv-inspector-right'), card.node, phases.node);
    add(root, add(make('header', 'sv-inspector-head'), title, meta), ruler.node, moves, story, add(make('div', 'sv-inspector-columns'), left, right), acceptance.node, calculator.node, confidence.node, cuts.node, mask.node, nodes.node, spoken);
    root.addEventListener('keydown', onKey);
  }

  function sample(name) {
    const svg = makeSvg('svg', { width: 18, height: 18, viewBox: '-9 -9 18 18', 'aria-hidden': 'true', class: 'sv-node is-' + name });
    const r = name === 'unreached' ? 4.5 : 6;
    if (name === 'bonus' || name === 'correction') svg.appendChild(makeSvg('rect', { x: -5, y: -5, width: 10, height: 10, class: 'sv-shape', ...(name === 'bonus' ? { transform: 'rotate(45)' } : {}) }));
    else svg.appendChild(makeSvg('circle', { r, class: 'sv-shape' }));
    if (name === 'rejected') svg.appendChild(makeSvg('path', { d: 'M-3 -3L3 3M-3 3L3 -3', class: 'sv-cross' }));
    return svg;
  }

  function saveStep() {
    const step = trace.steps[at], named = step.t.map((place) => trace.pieces[place]), link = make('a', '');
    const text = JSON.stringify({ run: trace.run, step: { ...step, text: named } }, null, 1);
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    link.download = 'specviz-step-' + step.n + '.json';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function rootText(index) {
    if (index === 0) return '(prompt)';
    const before = trace.steps[index - 1].k;
    return trace.pieces[before[before.length - 1].raw];
  }

  // What came before bears no marks: it is put as one text, not token by token.
  function showText() {
    const step = trace.steps[at], from = starts[at], past = [];
    for (let index = at - 1; index >= 0 && from - starts[index] <= NEAR_TOKENS; index--) past.unshift(...trace.steps[index].k);
    lines.clear(before[from - past.length]);
    if (past.length) tokenNodes(shown(past.map((token) => trace.pieces[token.t]).join('')), 'sv-token is-before').forEach(lines.put);
    putTokens(step.k, ' is-now');
    if (trace.steps[at + 1]) putTokens(trace.steps[at + 1].k, ' is-ahead');
    if (past.length < from) text.firstChild.prepend(make('span', 'sv-soft', '… '));
    scrollSoon();
  }

  function putTokens(tokens, when) {
    for (const { o, t, raw } of tokens) {
      const own = trace.pieces[t], isBytes = when === ' is-now' && /^\ufffd*$/.test(own);
      tokenNodes(isBytes ? spelled(trace.pieces[raw]) : shownBehind(lines.before, own), 'sv-token is-' + o + when).forEach(lines.put);
    }
  }

  // With the frame, when all else of the step is drawn: asked at once, the page would be laid out once more.
  function scrollSoon() {
    cancelAnimationFrame(scrolling);
    scrolling = requestAnimationFrame(() => {
      const now = text.querySelector('.is-now');
      if (now) text.scrollTop += now.getBoundingClientRect().top - text.getBoundingClientRect().top - text.clientHeight / 2;
    });
  }

  function go(index, key) {
    if (!trace || !trace.steps.length) return;
    const next = Math.min(trace.steps.length - 1, Math.max(0, index));
    const hasMoved = next !== at || key !== undefined;
    at = next;
    const step = trace.steps[at];
    ruler.go(at);
    tree.draw(trace, step, rootText(at), room);
    counter.textContent = 'Step ' + (step.n + 1) + ' of ' + trace.steps.length;
    story.textContent = storyOf(trace, step) + (step.by ? ' Drafted by ' + step.by + '.' : '');
    showText();
    phases.draw(step);
    cuts.draw(trace, step);
    choose(key ?? firstKey(step));
    if (hasMoved && options.onStep) options.onStep(step.n);
  }

  // What a step is looked at for: the draft that was rejected on the path, else the last one accepted.
  function firstKey(step) {
    const last = step.path.length ? step.path[step.path.length - 1] : -1;
    const failed = step.up.findIndex((parent, node) => parent === last && STATUS[step.s[node]] === 'rejected');
    return failed >= 0 ? String(failed) : step.up.length ? String(last) : 'next';
  }

  function choose(key) {
    chosen = tree.choose(key);
    const step = trace.steps[at];
    card.show(trace, step, chosen, rootText(at));
    acceptance.draw(trace, step, chosen);
    mask.draw(trace, step, chosen);
    nodes.draw(trace, step, chosen);
  }

  function seek(isWanted) {
    const found = trace.steps.findIndex((step, index) => index > at && isWanted(step));
    if (found >= 0) go(found);
    spoken.textContent = found >= 0 ? story.textContent : 'There is none after this step.';
  }

  function play() {
    if (timer) return pause();
    if (at === trace.steps.length - 1) go(0);
    buttons.play.firstChild.textContent = '❚❚ Pause';
    timer = setInterval(() => { if (at >= trace.steps.length - 1 || root.offsetParent === null) pause(); else go(at + 1); }, PLAY_MS);
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    buttons.play.firstChild.textContent = '▶ Play';
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !trace || event.target.closest('select, input:not([type=range])')) return;
    const keys = { r: () => seek(hasRejection), f: () => seek(isFullAccept), '[': () => go(at - 1), ']': () => go(at + 1) };
    const action = keys[event.key.toLowerCase()];
    if (action) { event.preventDefault(); action(); }
  }

  function load(next, stepNumber) {
    pause();
    trace = next;
    room = roomOf(trace.steps);
    before = linesBefore(trace.steps.flatMap((step) => step.k.map((token) => shown(trace.pieces[token.t]))));
    starts = [];
    let total = 0;
    for (const step of trace.steps) { starts.push(total); total += step.k.length; }
    title.textContent = trace.run.prompt || 'A run';
    meta.textContent = [trace.run.method, trace.run.model, trace.run.where, trace.run.rule, trace.run.created && trace.run.created + ' UTC', trace.run.origin, ...(trace.run.notices || [])].filter(Boolean).join(' · ');
    root.dataset.run = trace.run.id || '';
    ruler.draw(trace.steps);
    calculator.draw(trace);
    confidence.draw(trace);
    at = -1;
    const found = trace.steps.findIndex((step) => step.n === stepNumber);
    if (trace.steps.length) go(Math.max(0, found));
    else story.textContent = 'This run ended before its first step.';
    root.classList.toggle('is-empty', !trace.steps.length);
  }

  build();
  return { node: root, load, go, choose, seek, number: () => (trace && trace.steps[at] ? trace.steps[at].n : null), trace: () => trace };
}
