// A sentence from the server, shown as it is.

import { make, shown } from './dom.js';

/** @param {import('./component').Component} component */
export default function mountWords(component) {
const { element, props, watch } = component;
const words = make('p', 'sv-words');
words.setAttribute('role', 'status');
element.appendChild(words);

function show() { words.textContent = shown(props.value || ''); }

watch('value', show);
show();
}
