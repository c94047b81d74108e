// Five stops through a recorded run: draft, verify, reject, correct, bonus. Stops are found by what happens in the run,
// so another recording needs no other tour.

import { add, make, makeButton } from './dom.js';
import { hasRejection, isFullAccept, STATUS } from './drafttree.js';
import { makeInspector } from './inspector.js';

const STOPS = [
  { title: 'Draft', frame: '.sv-tree', find: (trace) => trace.steps.findIndex(isFullAccept), pick: (step) => String(step.path[0]),
    text: 'A large model writes one token per pass, and each pass takes about as long whether it looks at one token or at a dozen. So something quick, the drafter, guesses ahead: here a small model has proposed a tree of tokens that may follow the square on the left. Likelier guesses are drawn larger.' },
  { title: 'Verify', frame: '.sv-masks', opens: '.sv-masks', find: (trace) => trace.steps.findIndex(isFullAccept), pick: (step) => String(step.path[step.path.length - 1]),
    text: 'The target, the model whose text counts, reads the whole tree in one pass. The mask lets every token see the context and its own ancestors only, so each branch is judged as if it stood alone. Along the thick line the target would have written just what was drafted: those tokens are accepted, all from one pass.' },
  { title: 'Reject', frame: '.sv-nodecard', find: (trace) => correctedStep(trace), pick: (step) => String(rejectedBelow(step)),
    text: 'Here the two disagree. The marked token was the drafter’s guess, but the target prefers another one, so it is rejected, and what hangs below it is never even considered. A rejected draft costs a little time and changes nothing in the text.' },
  { title: 'Correct', frame: '.sv-tree', find: (trace) => correctedStep(trace), pick: () => 'next',
    text: 'Nothing is lost: the same pass has already told what the target wants at this place. Its own token, the square, takes the place of the rejected one. Every step therefore writes at least one token, and always one that the target itself chose.' },
  { title: 'Bonus', frame: '.sv-inspector-text', find: (trace) => trace.steps.findIndex((step, index) => index > correctedStep(trace) && isFullAccept(step)), pick: () => 'next',
    text: 'When a whole path survives, the pass also says what comes behind it: one token more, free of charge. Several tokens for one pass is the whole gain. The text stays the target’s own, token by token.' },
];

function correctedStep(trace) {
  const rich = trace.steps.findIndex((step) => hasRejection(step) && step.path.length > 0);
  return rich >= 0 ? rich : trace.steps.findIndex(hasRejection);
}

function rejectedBelow(step) {
  const last = step.path.length ? step.path[step.path.length - 1] : -1;
  return step.up.findIndex((parent, node) => parent === last && STATUS[step.s[node]] === 'rejected');
}

// onStop(number, from 1). show(number) goes there.
export function makeTour(onStop) {
  const root = make('section', 'sv-tour');
  const list = make('ol', 'sv-tour-stops');
  const words = make('div', 'sv-tour-words');
  const title = make('h3', 'sv-tour-title');
  const text = make('p', 'sv-tour-text');
  const back = make('button', 'sv-tool', 'Back');
  const on = make('button', 'sv-tool sv-tour-on', 'Next');
  const inspector = makeInspector();
  let at = 0;
  const stops = STOPS.map((stop, index) => {
    const button = makeButton('sv-tour-stop', (index + 1) + '  ' + stop.title, () => onStop(index + 1));
    list.appendChild(add(make('li', ''), button));
    return button;
  });
  root.setAttribute('aria-label', 'Guided tour');
  text.setAttribute('aria-live', 'polite');
  for (const [button, by] of [[back, -1], [on, 1]]) { button.type = 'button'; button.addEventListener('click', () => onStop(at + 1 + by)); }
  add(root, list, add(words, title, text, add(make('p', 'sv-tour-moves'), back, on)), inspector.node);

  return {
    node: root,
    load(trace) { inspector.load(trace, null); },
    show(number) {
      at = Math.min(STOPS.length, Math.max(1, number)) - 1;
      const stop = STOPS[at];
      stops.forEach((button, index) => { if (index === at) button.setAttribute('aria-current', 'step'); else button.removeAttribute('aria-current'); });
      title.textContent = stop.title;
      text.textContent = stop.text;
      back.disabled = at === 0;
      on.disabled = at === STOPS.length - 1;
      const index = Math.max(0, stop.find(inspector.trace()));
      for (const fold of inspector.node.querySelectorAll('.sv-fold')) fold.open = Boolean(stop.opens) && fold.matches(stop.opens);
      inspector.go(index, stop.pick(inspector.trace().steps[index]));
      for (const old of inspector.node.querySelectorAll('.is-framed')) old.classList.remove('is-framed');
      inspector.node.querySelector(stop.frame).classList.add('is-framed');
    },
  };
}
