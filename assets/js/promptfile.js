// A file of prompts goes into the field of own prompts, where it can be read and changed before it is asked.

import { makeFileButton } from './benchtools.js';

/** @param {import('./component').Component} component */
export default function mountPromptFile({ element }) {
  element.appendChild(makeFileButton('Open a file of prompts', 'File of prompts, text or JSON lines', '.jsonl,.ndjson,.json,.txt', (text) => {
    const field = /** @type {HTMLTextAreaElement} */ (document.querySelector('#bench-own textarea'));
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    field.focus();
  }));
}
