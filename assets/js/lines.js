// The lines of a text as elements, into which tokens are put one after another. What stands there stays; only the line
// that grows may change its look, and only the tokens whose look it is are written anew.

import { add, empty, make } from './dom.js';
import { hangOf, lineWith, linesIn, lookOf, NO_LINE, piecesOf } from './markup.js';
import { tie } from './writing.js';

const DEEPEST_HANG = 24; // columns

// A token as elements, one for each line that it writes in; what follows the first belongs to it.
export function tokenNodes(text, className) {
  return linesIn(text).map((part, place) => {
    const node = make('span', className + (place ? ' is-rest' : ''));
    const [blanks, marked] = tokenParts(part);
    if (blanks) node.appendChild(document.createTextNode(blanks));
    return add(node, make('span', 'sv-body' + (/^\n+$/.test(marked) ? ' is-break' : ''), marked));
  });
}

// Text before the mark, and text under it: blanks stay outside, unless there is nothing else.
function tokenParts(text) {
  const [, blanks, rest] = /^([ \t]*)([\s\S]*)$/.exec(text);
  return rest === '' ? ['', blanks] : [blanks, rest];
}

export function makeLines(view) {
  let line = NO_LINE, look = lookOf(line);
  let block = null; // the element of the line; null where the next token begins one
  let asides = null; // below a line of code: drafts that were rejected would shift its columns
  let parts = []; // of the line: [element, where its text begins]

  function begin() {
    if (line.text.endsWith('\n')) line = lineWith(line, '');
    look = { kind: '', level: 0, spans: [] };
    parts = [];
    asides = null;
    block = view.appendChild(Object.assign(make('div', 'sv-paragraph'), { role: 'presentation', dir: 'auto' }));
    dress();
  }

  function put(node) {
    if (!block) begin();
    const text = node.textContent, next = lineWith(line, text);
    block.insertBefore(node, asides);
    tie(node, line.text);
    parts.push([node, next.text.length - text.length]);
    line = next;
    dress();
    if (line.text.endsWith('\n')) block = null;
  }

  function dress() {
    const before = look;
    look = lookOf(line);
    if (look.kind !== before.kind || look.level !== before.level) block.className = 'sv-paragraph is-' + look.kind + (look.level ? ' is-level-' + look.level : '');
    if (look.kind === 'code') block.style.setProperty('--hang', Math.min(DEEPEST_HANG, hangOf(line.text)));
    const changed = [...differing(before.spans, look.spans), ...differing(look.spans, before.spans)];
    const reach = (node, from) => changed.some(([begun, end]) => begun < from + node.textContent.length && end > from);
    if (changed.length || look.spans.length) parts.filter(([node, from], place) => place === parts.length - 1 || reach(node, from)).forEach(write);
  }

  function differing(some, others) {
    const known = new Set(others.map(String));
    return some.filter((span) => !known.has(String(span)));
  }

  function write([node, from]) {
    const body = node.lastChild, marked = body.textContent, blanks = node.textContent.slice(0, -marked.length || undefined);
    body.replaceChildren(...written(marked, from + blanks.length));
    node.replaceChildren(...written(blanks, from), body);
  }

  function written(text, from) {
    const pieces = text ? piecesOf(text, from, look.spans) : [];
    return pieces.map(([piece, names]) => (names.length ? make('span', names.map((name) => 'is-' + name).join(' '), piece) : document.createTextNode(piece)));
  }

  // A draft that never belonged to the text, before the token that came instead; of code, below its line.
  function beside(node) {
    if (!block) begin();
    if (look.kind === 'code') asides = asides || block.appendChild(Object.assign(make('div', 'sv-asides'), { role: 'presentation' }));
    node.dir = 'auto'; // it has no say in which way its line is written
    (asides || block).appendChild(node);
  }

  return {
    put,
    beside,
    // The text that the next token follows, as far as its line goes.
    get before() { return block ? line.text : ''; },
    // Something at the end that is no token.
    end(node) { (block || view).insertBefore(node, block && asides); },
    // Empty, to go on with a line that was read elsewhere.
    clear(from = NO_LINE) { empty(view); block = null; line = from; },
  };
}
