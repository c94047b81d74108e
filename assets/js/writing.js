// Scripts of the world: where one token's letters join the next one's, and what would turn a sentence around.

import { SHAPED } from './dom.js';

const BOTH_SHAPED = new RegExp('^' + SHAPED, 'u');
const CLUSTERS = new Intl.Segmenter('en', { granularity: 'grapheme' });
const LONGEST_CLUSTER = 32; // characters that are looked back at
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

// Whether the last letter of one text and the first of the next are drawn as one, so that nothing may stand between
// them: letters that join, accents and vowel signs, pictures made of several, flags.
function joins(before, after) {
  const tail = before.slice(-LONGEST_CLUSTER);
  if (!/^[^\x00-\x7f]/.test(after) || /\s$/u.test(tail) || tail === '') return false;
  const head = after.slice(0, LONGEST_CLUSTER), last = [...tail].pop();
  const isOneSign = CLUSTERS.segment(tail + head).containing(tail.length).index < tail.length;
  return isOneSign || (BOTH_SHAPED.test(last) && BOTH_SHAPED.test(head));
}

// A text inside a sentence of ours, between signs that keep its direction from what stands around it.
export function isolated(text) { return RIGHT_TO_LEFT.test(text) ? '\u2068' + text + '\u2069' : text; }

// Drafts that did not survive, and how many more there were: they never belonged to the text.
function isGhost(node) { return ['is-rejected', 'is-unreached', 'sv-more'].some((name) => node.classList.contains(name)); }

// Letters that are drawn as one stay together across tokens: the marks of both keep off the line between them.
// before: the text of the line in front of the token.
export function tie(node, before) {
  if (!joins(before, node.textContent)) return;
  let part = node;
  do {
    if (!isGhost(part)) part.classList.add('is-joined');
    part = part.previousElementSibling;
  } while (part && (isGhost(part) || part.textContent === ''));
  if (part) part.classList.add('is-joined');
}
