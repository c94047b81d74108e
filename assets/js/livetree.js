// Beside the text: the draft tree of the newest step, or of the one that was pointed at until another comes. A press on a
// node leads to its step in the inspector.

import { ownText } from './card.js';
import { add, make } from './dom.js';
import { placed, storyOf } from './drafttree.js';
import { growRoom } from './treedrawing.js';
import { makeTree } from './treeview.js';

const TREE_EVERY_MS = 250; // drawing takes time from a model that decodes beside it
const FIRST_ROOM = { columns: 5, rows: 6 };
const WIDE_PAGE = '(min-width: 1081px)';

// A step of the stage as the tree reads it: `{ pieces, step }`, its texts by their place.
function treeOfStep(step) {
  const tree = step.tree || { path: [], t: [], up: [], s: [], p: [], q: [] }, size = tree.t.length;
  const k = step.k.map((token, place) => ({ o: token.o, p: token.p, raw: size + place, node: place < tree.path.length ? tree.path[place] : null }));
  return { pieces: [...tree.t, ...step.k.map(ownText)], step: { ...tree, n: step.n, t: tree.t.map((_, place) => place), k } };
}

// onOpen(step number)
export function makeLiveTree(onOpen) {
  const holder = make('details', 'sv-live');
  const caption = make('span', 'sv-live-step');
  const story = make('p', 'sv-live-story');
  const tree = makeTree({ onPick: (key) => tree.choose(key), onPress: () => onOpen(shownStep.n) });
  let log = [];
  let room = { ...FIRST_ROOM };
  let pointed = null;
  let isPointedAt = false;
  let shownStep = null;
  let timer = null;
  let drawnAt = 0;
  add(holder, add(make('summary', ''), make('span', 'sv-live-title', 'Draft tree'), caption), tree.node, story);
  holder.open = window.matchMedia(WIDE_PAGE).matches;
  holder.addEventListener('toggle', () => { shownStep = null; draw(); });

  function draw() {
    clearTimeout(timer);
    timer = null;
    const step = log.find((each) => each.n === pointed) ?? log[log.length - 1];
    holder.classList.toggle('is-empty', !step);
    caption.textContent = step ? 'step ' + step.n + (step.n === pointed ? '' : ', the newest') : '';
    if (!step || !holder.open || step === shownStep) return;
    drawnAt = performance.now();
    shownStep = step;
    const given = treeOfStep(step), place = log.indexOf(step), before = place > 0 ? log[place - 1].k : [];
    story.textContent = storyOf(given, given.step) + (step.by ? ' Drafted by ' + step.by + '.' : '');
    tree.draw(given, given.step, before.length ? ownText(before[before.length - 1]) : '(prompt)', room);
  }

  function schedule() {
    if (timer === null) timer = setTimeout(draw, Math.max(0, drawnAt + TREE_EVERY_MS - performance.now()));
  }

  draw();
  return {
    node: holder,
    append(steps) {
      const fresh = steps.filter((step) => step.k.length);
      if (fresh.length && !isPointedAt) pointed = null;
      for (const step of fresh) growRoom(room, placed(treeOfStep(step).step));
      log = log.concat(fresh);
      schedule();
    },
    clear() { pointed = null; log = []; room = { ...FIRST_ROOM }; shownStep = null; schedule(); },
    // The pointer leaves a token on its way to the tree.
    point(n) { isPointedAt = n !== null; if (isPointedAt) { pointed = n; draw(); } },
  };
}
