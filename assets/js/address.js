// The address is the state of the page: which view, run, step, runs and word of the glossary. `goto` leads there without a reload; copying
// the address leads to the same. Every component imports this file: they agree through one event on the window.

const PLACE_KEYS = ['view', 'run', 'step', 'ids', 'group', 'method', 'task', 'term', 'again'];
let lead = null;

// Of a setting of the Playground; see specviz/decoding/link.py.
export function isSetting(key) { return key.startsWith('set.'); }

// Where we are, as an object with `view` and whatever else is known; texts all.
export function place() {
  const found = {};
  for (const [key, value] of new URLSearchParams(window.location.search)) if (PLACE_KEYS.includes(key) || isSetting(key)) found[key] = value;
  return found;
}

export function addressOf(wanted) {
  const address = new URL(window.location.href);
  const there = [...address.searchParams.keys()].filter(isSetting);
  for (const key of new Set([...PLACE_KEYS, ...there, ...Object.keys(wanted).filter(isSetting)])) {
    const value = Array.isArray(wanted[key]) ? wanted[key].join(',') : wanted[key];
    if (value === undefined || value === null || value === '') address.searchParams.delete(key);
    else address.searchParams.set(key, String(value));
  }
  return address;
}

// The same to hand on: what the address holds beside the known keys may be a pass to a private page.
export function linkTo(wanted) {
  const full = addressOf(wanted), link = new URL(full.pathname, full.origin);
  for (const [key, value] of full.searchParams) if (PLACE_KEYS.includes(key) || isSetting(key)) link.searchParams.set(key, value);
  return String(link);
}

// A place without the settings: what a view that is left goes back to, since its controls stay as they are.
export function withoutSettings(there) { return Object.fromEntries(Object.entries(there).filter(([key]) => !isSetting(key) && key !== 'again')); }

// Open a view: goto({ view: 'inspect', run: id, step: 4 }), goto({ view: 'race', ids: [a, b] }).
export function goto(wanted) {
  if (lead) { lead(wanted); return; }
  window.history.pushState(null, '', addressOf(wanted));
  window.dispatchEvent(new CustomEvent('sv-place'));
  window.dispatchEvent(new CustomEvent('sv-go'));
}

// Where there are no other views, `goto` does this instead.
export function leadBy(way) { lead = way; }

// Say where the visitor has come to, without opening anything: note({ ...place(), step: 5 }).
export function note(wanted) {
  window.history.replaceState(null, '', addressOf(wanted));
  window.dispatchEvent(new CustomEvent('sv-place'));
}
