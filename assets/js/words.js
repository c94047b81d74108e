// A sentence from the server, shown as it is.

const words = make('p', 'sv-words');
words.setAttribute('role', 'status');
element.appendChild(words);

function show() { words.textContent = shown(props.value || ''); }

watch('value', show);
show();
