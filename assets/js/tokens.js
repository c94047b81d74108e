// The text, token by token. Appends; never rebuilds. One tab stop, arrow keys inside, a card on hover and focus.

import { goto } from './address.js';
import { makeCard, ORIGIN } from './card.js';
import { empty, make, shown, spelled } from './dom.js';
import { isGhost, tie } from './writing.js';

const SHOWN_UNREACHED = 2;

// A token's classes: where it came from, and whether it adds no text, as parts of a character and end tokens do.
function tokenClass(token, origin) {
  const silent = token.t !== '' ? '' : /^<.+>$/.test(token.raw || '') ? ' is-end' : ' is-empty';
  return 'sv-token is-' + origin + silent;
}

// Text before the mark, and text under it: blanks stay outside, unless there is nothing else.
function tokenParts(text) {
  const [, blanks, rest] = /^([ \t]*)([\s\S]*)$/.exec(text);
  return rest === '' ? ['', blanks] : [blanks, rest];
}

// Rejected drafts at one place: each with at most two of the tokens that followed it, and how many more there were.
function ghostsShown(ghosts) {
  let run = 0;
  const shownGhosts = ghosts.filter((ghost) => {
    run = ghost.s === 'unreached' ? run + 1 : 0;
    return run <= SHOWN_UNREACHED;
  });
  return [shownGhosts, ghosts.length - shownGhosts.length];
}

// A step as it is read: { token, isGhost } and { more } in their order; a rejected draft before what replaced it.
function readingOrder(step) {
  const ghostsWhere = (isThere) => {
    const [ghosts, hidden] = ghostsShown(step.g.filter(isThere));
    return [...ghosts.map((token) => ({ token, isGhost: true })), ...(hidden ? [{ more: hidden }] : [])];
  };
  const order = step.k.flatMap((token, index) => [...ghostsWhere((ghost) => ghost.at === index), { token, isGhost: false }]);
  return [...order, ...ghostsWhere((ghost) => ghost.at >= step.k.length), ...(step.more ? [{ more: step.more }] : [])];
}

// on.onPoint(step number, or null): whose token the pointer or the focus is on.
export function makeTokens(stage, on = {}) {
  const view = make('div', 'sv-text');
  const card = makeCard(stage);
  const detail = new WeakMap();
  const firstOfStep = new Map();
  const caret = make('span', 'sv-caret', '…');
  let paragraph = null; // the last one; null where the next token begins one
  let stop = null;
  let pressed = null;
  view.setAttribute('role', 'listbox');
  view.setAttribute('aria-label', 'Output, token by token. Arrow keys move, up and down change the step, Enter opens the step in the inspector, Escape closes the card.');
  view.setAttribute('aria-live', 'off');
  caret.setAttribute('aria-hidden', 'true');

  function element(token, step, isGhost) {
    const origin = isGhost ? token.s : token.o;
    const node = make('span', tokenClass(token, origin));
    const [blanks, marked] = tokenParts(isGhost ? shown(token.t).replace(/\n/g, '⏎') : shown(token.t));
    if (blanks) node.appendChild(document.createTextNode(blanks));
    node.appendChild(make('span', 'sv-body' + (/^\n+$/.test(marked) ? ' is-break' : ''), marked));
    node.tabIndex = -1;
    node.setAttribute('role', 'option');
    node.setAttribute('aria-selected', 'false');
    node.setAttribute('aria-label', spelled(token.t || token.raw || '') + ', ' + ORIGIN[origin]);
    node.dataset.step = step.n;
    detail.set(node, [isGhost ? Object.assign({ o: token.s, a: [] }, token) : token, step]);
    return node;
  }

  function more(count) {
    const node = make('span', 'sv-more', '+' + count);
    node.title = count + ' more drafted tokens of this step were not used';
    node.setAttribute('role', 'presentation');
    return node;
  }

  // Returns the new elements in their order.
  function append(steps) {
    const isAtEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 60;
    const made = steps.flatMap(elements);
    put(made);
    if (!stop) setStop(view.querySelector('.sv-token:not(.is-rejected):not(.is-unreached)'));
    if (isAtEnd) view.scrollTop = view.scrollHeight;
    return made;
  }

  function elements(step) {
    return readingOrder(step).map((part) => {
      if (part.more) return more(part.more);
      const node = element(part.token, step, part.isGhost);
      if (!part.isGhost && !firstOfStep.has(step.n)) firstOfStep.set(step.n, node);
      return node;
    });
  }

  // A block for each paragraph: a new token lays out its own paragraph anew, not the whole text.
  function put(made) {
    for (const node of made) {
      if (!paragraph) paragraph = view.appendChild(Object.assign(make('div', 'sv-paragraph'), { role: 'presentation' }));
      paragraph.appendChild(node);
      if (!isGhost(node)) tie(node);
      if (node.textContent.endsWith('\n')) paragraph = null; // a rejected draft's line ends are signs
    }
    if (caret.parentNode) pending(true);
  }

  function pending(isPending) {
    if (isPending) (paragraph || view).appendChild(caret);
    else if (caret.parentNode) caret.remove();
  }

  function setStop(node) {
    if (stop) stop.tabIndex = -1;
    stop = node;
    if (stop) stop.tabIndex = 0;
  }

  function isShown(node) {
    return node.classList.contains('sv-token') && node.offsetParent !== null;
  }

  function beside(node, forward) {
    const next = forward ? node.nextElementSibling : node.previousElementSibling;
    if (next) return next;
    const block = forward ? node.parentNode.nextElementSibling : node.parentNode.previousElementSibling;
    return block && (forward ? block.firstElementChild : block.lastElementChild);
  }

  function neighbour(node, forward) {
    let next = node;
    do next = beside(next, forward);
    while (next && !isShown(next));
    return next;
  }

  function otherStep(node, forward) {
    const step = node.dataset.step;
    let next = neighbour(node, forward);
    while (next && next.dataset.step === step) next = neighbour(next, forward);
    return next && (forward ? next : firstOfStep.get(Number(next.dataset.step)) || next);
  }

  const MOVES = {
    ArrowRight: (node) => neighbour(node, true),
    ArrowLeft: (node) => neighbour(node, false),
    ArrowDown: (node) => otherStep(node, true),
    ArrowUp: (node) => otherStep(node, false),
    Home: () => [...view.querySelectorAll('.sv-token')].find(isShown),
    End: () => [...view.querySelectorAll('.sv-token')].reverse().find(isShown),
  };

  function inspect(node) {
    goto({ view: 'inspect', run: stage.dataset.session, step: node.dataset.step });
  }

  function tokenOf(event) {
    return event.target instanceof Element ? event.target.closest('.sv-token') : null;
  }

  function show(node) {
    const [token, step] = detail.get(node);
    card.show(node, token, step);
    if (on.onPoint) on.onPoint(step.n);
    for (const other of view.querySelectorAll('.is-sibling')) other.classList.remove('is-sibling');
    for (const other of view.querySelectorAll('[data-step="' + node.dataset.step + '"]')) other.classList.add('is-sibling');
  }

  function hide() {
    card.hide();
    if (on.onPoint) on.onPoint(null);
    for (const other of view.querySelectorAll('.is-sibling')) other.classList.remove('is-sibling');
  }

  view.addEventListener('keydown', (event) => {
    const node = tokenOf(event);
    if (!node) return;
    if (event.key === 'Escape') hide();
    if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) inspect(node);
    if (!MOVES[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = MOVES[event.key](node);
    if (next) next.focus();
  });
  view.addEventListener('focusin', (event) => {
    const node = tokenOf(event);
    if (!node) return;
    setStop(node);
    node.setAttribute('aria-selected', 'true');
    node.setAttribute('aria-describedby', card.id);
    show(node);
  });
  view.addEventListener('focusout', (event) => {
    const node = tokenOf(event);
    if (node) node.setAttribute('aria-selected', 'false');
    hide();
  });
  view.addEventListener('mouseover', (event) => { const node = tokenOf(event); if (node) show(node); });
  view.addEventListener('mouseleave', () => {
    hide();
    if (view.contains(document.activeElement) && document.activeElement !== view) show(document.activeElement);
  });
  // A press leads to the token's step in the inspector; a finger's first press shows the card, its second leads there.
  view.addEventListener('pointerdown', (event) => { pressed = event.pointerType === 'touch' && tokenOf(event) !== document.activeElement ? null : tokenOf(event); });
  view.addEventListener('click', (event) => {
    const node = tokenOf(event);
    if (!node || String(window.getSelection()) !== '') return;
    if (node === pressed && stage.dataset.session) inspect(node);
    else node.focus();
  });
  // A focused token scrolls itself into view: its card goes with it.
  view.addEventListener('scroll', () => { if (document.activeElement.classList.contains('sv-token') && view.contains(document.activeElement)) show(document.activeElement); else card.hide(); }, { passive: true });

  return {
    node: view,
    append,
    clear() { hide(); empty(view); firstOfStep.clear(); stop = paragraph = null; },
    pending,
  };
}
