// The address is the state of the page: which view, run, step, runs and word of the glossary. `goto` leads there without a reload; copying
// the address leads to the same. Any component may include this file: they agree through one event on the window.

const PLACE_KEYS = ['view', 'run', 'step', 'ids', 'group', 'method', 'task', 'term', 'again'];

// Of a setting of the Playground; see specviz/decoding/link.py.
function isSetting(key) { return key.startsWith('set.'); }

// Where we are, as an object with `view` and whatever else is known; texts all.
function place() {
  const found = {};
  for (const [key, value] of new URLSearchParams(window.location.search)) if (PLACE_KEYS.includes(key) || isSetting(key)) found[key] = value;
  return found;
}

function addressOf(wanted) {
  const address = new URL(window.location.href);
  const there = [...address.searchParams.keys()].filter(isSetting);
  for (const key of new Set([...PLACE_KEYS, ...there, ...Object.keys(wanted).filter(isSetting)])) {
    const value = Array.isArray(wanted[key]) ? wanted[key].join(',') : wanted[key];
    if (value === undefined || value === null || value === '') address.searchParams.delete(key);
    else address.searchParams.set(key, String(value));
  }
  return address;
}

// A place without the settings: what a view that is left goes back to, since its controls stay as they are.
function withoutSettings(there) { return Object.fromEntries(Object.entries(there).filter(([key]) => !isSetting(key) && key !== 'again')); }

// Open a view: goto({ view: 'inspect', run: id, step: 4 }), goto({ view: 'race', ids: [a, b] }).
function goto(wanted) {
  window.history.pushState(null, '', addressOf(wanted));
  window.dispatchEvent(new CustomEvent('sv-place'));
  window.dispatchEvent(new CustomEvent('sv-go'));
}

// Say where the visitor has come to, without opening anything: note({ ...place(), step: 5 }).
function note(wanted) {
  window.history.replaceState(null, '', addressOf(wanted));
  window.dispatchEvent(new CustomEvent('sv-place'));
}
