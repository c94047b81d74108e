// The list of saved runs as words and numbers. Draws nothing.

export function counted(n, one, more) { return n.toLocaleString('en') + ' ' + (n === 1 ? one : more); }

export function summaryOf(list) {
  if (!list.rows.length) return list.is_filtered ? 'No run fulfils all of this.' : 'Nothing is saved yet. Every run is kept here.';
  const last = list.first + list.rows.length - 1;
  return list.first.toLocaleString('en') + '–' + last.toLocaleString('en') + ' of ' + counted(list.total, 'run.', 'runs.');
}

export function pagesOf(list) { return Math.max(1, Math.ceil(list.total / list.size)); }

// A pressed column: the largest first, and the other way round when pressed again.
export function sortedBy(listing, key) { return { sort: key, is_descending: listing.sort === key ? !listing.is_descending : true }; }
