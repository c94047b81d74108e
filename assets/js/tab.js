// A tab was opened by hand: the address follows. Where the visitor has been there before, it is the last place there.
(view) => {
  const KEYS = ['view', 'run', 'step', 'ids'];
  const address = new URL(window.location.href);
  const before = address.searchParams.get('view') || 'play';
  if (before === view) return address.search;
  const known = (window.specvizPlaces = window.specvizPlaces || {});
  known[before] = KEYS.map((key) => [key, address.searchParams.get(key)]);
  const wanted = known[view] || [['view', view]];
  for (const key of KEYS) address.searchParams.delete(key);
  for (const [key, value] of wanted) if (value) address.searchParams.set(key, value);
  address.searchParams.set('view', view);
  window.history.pushState(null, '', address);
  return address.search;
}
