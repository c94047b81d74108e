// The list of saved runs. Rows come from the server as plain values; opening one reports its id.

const COLUMNS = ['When (UTC)', 'Status', 'Method', 'Model', 'Prompt', 'Tokens/s', 'Block efficiency', 'Verdict'];
const NUMBERS = new Set(['Tokens/s', 'Block efficiency']);
const holder = make('div', 'sv-sessions');

function cell(row, key, label, className) {
  const node = make('td', className || '');
  node.dataset.label = label;
  add(node, make('bdi', '', shown(String(row[key]))));
  return node;
}

function line(row) {
  const node = make('tr', 'is-' + row.status);
  node.dataset.run = row.id;
  const open = make('button', 'sv-open', row.when);
  open.type = 'button';
  open.setAttribute('aria-label', 'Open the run of ' + row.when + ', ' + row.method);
  open.addEventListener('click', () => openRun(row.id));
  node.addEventListener('click', (event) => { if (!event.target.closest('button')) openRun(row.id); });
  const when = make('td', '');
  when.dataset.label = 'When';
  return add(node, add(when, open), cell(row, 'status', 'Status', 'sv-run-status'), cell(row, 'method', 'Method'), cell(row, 'model', 'Model'),
    cell(row, 'prompt', 'Prompt', 'sv-run-prompt'), cell(row, 'speed', 'Tokens/s', 'is-number'), cell(row, 'efficiency', 'Block efficiency', 'is-number'),
    cell(row, 'verdict', 'Verdict'));
}

function openRun(id) {
  for (const row of holder.querySelectorAll('tr')) row.classList.toggle('is-open', row.dataset.run === id);
  note({ view: 'sessions', run: id });
  trigger('open', { run: id });
}

function drawTable() {
  const list = JSON.parse(props.value || '{"rows":[],"note":""}');
  empty(holder);
  if (list.note) add(holder, make('p', 'sv-note', list.note));
  if (!list.rows.length) return;
  const table = make('table', 'sv-table');
  const head = make('tr', '');
  for (const name of COLUMNS) add(head, Object.assign(make('th', NUMBERS.has(name) ? 'is-number' : '', name), { scope: 'col' }));
  const body = make('tbody', '');
  for (const row of list.rows) body.appendChild(line(row));
  add(holder, add(table, add(make('thead', ''), head), body));
  for (const row of body.children) row.classList.toggle('is-open', row.dataset.run === list.open);
}

element.appendChild(holder);
watch('value', drawTable);
drawTable();
