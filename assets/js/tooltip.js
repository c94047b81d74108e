// A `?` beside a figure: hover, focus or press shows what it means, Escape hides it. What has a term in the glossary
// (GLOSSARY) leads there with the link below its definition.

import { goto } from './address.js';
import { add, make, makeButton } from './dom.js';
import { GLOSSARY } from './glossary.js';

const CLOSE_AFTER_MS = 180; // time to move from the mark to the link
let tooltipCount = 0;

// The definitions of these terms.
export function explain(label, terms) { return tooltip(label, ...terms.map((term) => ({ text: GLOSSARY[term], term }))); }

// said: { text, term } each; term may be left out.
export function tooltip(label, ...said) {
  const holder = make('span', 'sv-tip');
  const button = makeButton('sv-tip-mark', '?');
  const bubble = make('span', 'sv-tip-text');
  const words = make('span', '');
  let timer = null;
  words.id = 'sv-tip-' + ++tooltipCount + '-' + Math.random().toString(36).slice(2, 8);
  words.setAttribute('role', 'tooltip');
  for (const { text } of said) add(words, make('span', 'sv-tip-words', text));
  add(bubble, words);
  for (const { term } of said) if (term) add(bubble, glossaryLink(term));
  bubble.popover = 'manual'; // above everything, and cut off by no box that scrolls
  button.setAttribute('aria-label', 'What is ' + label + '?');
  button.setAttribute('aria-describedby', words.id);

  function show() {
    clearTimeout(timer);
    if (bubble.matches(':popover-open') || !holder.isConnected) return;
    bubble.showPopover();
    follow();
    window.addEventListener('scroll', follow, { capture: true, passive: true });
  }

  function follow() {
    const at = button.getBoundingClientRect();
    if (at.bottom < 0 || at.top > window.innerHeight) hide();
    else placeBeside(at, bubble);
  }

  function hide() {
    clearTimeout(timer);
    window.removeEventListener('scroll', follow, { capture: true });
    if (bubble.matches(':popover-open')) bubble.hidePopover();
  }

  function leave() {
    clearTimeout(timer);
    timer = setTimeout(() => { if (!holder.contains(document.activeElement)) hide(); }, CLOSE_AFTER_MS);
  }

  holder.addEventListener('mouseenter', show);
  holder.addEventListener('mouseleave', leave);
  holder.addEventListener('focusin', show);
  holder.addEventListener('focusout', (event) => { if (!holder.contains(event.relatedTarget)) hide(); });
  holder.addEventListener('keydown', (event) => { if (event.key === 'Escape') { button.focus(); hide(); } });
  button.addEventListener('click', show);
  return add(holder, button, bubble);
}

function glossaryLink(term) {
  const link = make('a', 'sv-tip-link', 'Glossary: ' + term.replace(/-/g, ' '));
  link.href = '?view=learn&term=' + term;
  link.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    link.blur();
    goto({ view: 'learn', term });
  });
  return link;
}

// Below the mark, or above it where there is no room; inside the window.
function placeBeside(at, bubble) {
  const { left, top } = bubblePlace(at, bubble.getBoundingClientRect(), document.documentElement.clientWidth, window.innerHeight);
  bubble.style.left = left + 'px';
  bubble.style.top = top + 'px';
}

function bubblePlace(at, box, width, height) {
  const isLow = at.bottom + box.height + 14 > height && at.top > box.height + 14;
  return { left: Math.max(8, Math.min(at.left, width - box.width - 8)), top: isLow ? at.top - box.height - 6 : at.bottom + 6 };
}
