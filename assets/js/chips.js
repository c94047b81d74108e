// Example prompts by task. A press reports the example's place; the server answers with its text.

const tasks = JSON.parse(TASKS);
const chips = make('div', 'sv-chips');
for (const task of tasks) {
  const row = make('div', 'sv-chip-row');
  row.setAttribute('role', 'group');
  row.setAttribute('aria-label', task.task);
  add(row, make('span', 'sv-chip-task', task.task));
  for (const example of task.examples) {
    const chip = makeButton('sv-chip', example.title, () => trigger('pick', { example: example.id }));
    row.appendChild(chip);
  }
  chips.appendChild(row);
}
element.appendChild(chips);
