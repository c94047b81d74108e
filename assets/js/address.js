// The address is the state of the page: which view, run, step, runs and word of the glossary. `goto` leads there without a reload; copying
// the address leads to the same. Every component imports this file: they agree through one event on the window.

const PLACE_KEYS = ['view', 'run', 'step', 'ids', 'group', 'method', 'task', 'term'];
let lead = null;

// Where we are, as an object with `view` and whatever else is known; texts all.
export function place() {
  const found = {};
  for (const [key, value] of new URLSearchParams(window.location.search)) if (PLACE_KEYS.includes(key)) found[key] = value;
  return found;
}

export function addressOf(wanted) {
  const address = new URL(window.location.href);
  for (const key of PLACE_KEYS) {
    const value = Array.isArray(wanted[key]) ? wanted[key].join(',') : wanted[key];
    if (value === undefined || value === null || value === '') address.searchParams.delete(key);
    else address.searchParams.set(key, String(value));
  }
  return address;
}

// Where this page is shown in a frame of another site, as a Space of the Hub is, only that site's address is seen, kept and
// copied: it is told our place, and gives it back when it loads the frame again. A place is an address, no secret.
export function tellFrame() {
  if (window.parent !== window) window.parent.postMessage({ queryString: String(new URLSearchParams(place())) }, '*');
}

// Open a view: goto({ view: 'inspect', run: id, step: 4 }), goto({ view: 'race', ids: [a, b] }).
export function goto(wanted) {
  if (lead) { lead(wanted); return; }
  window.history.pushState(null, '', addressOf(wanted));
  tellFrame();
  window.dispatchEvent(new CustomEvent('sv-go'));
}

// Where there are no other views, `goto` does this instead.
export function leadBy(way) { lead = way; }

// Say where the visitor has come to, without opening anything: note({ ...place(), step: 5 }).
export function note(wanted) {
  window.history.replaceState(null, '', addressOf(wanted));
  tellFrame();
}
