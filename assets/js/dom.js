// Small DOM helpers. Text only ever enters the page through textContent, so model text cannot become markup.

const SVG = 'http://www.w3.org/2000/svg';

export function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// A button that sends no form.
export function makeButton(className, text, onPress) {
  const node = Object.assign(make('button', className, text), { type: 'button' });
  if (onPress) node.addEventListener('click', onPress);
  return node;
}

export function makeOption(value, text) { return Object.assign(make('option', '', text), { value }); }

// The head of a column, or of a row.
export function makeHead(text, className, scope) { return Object.assign(make('th', className, text), { scope: scope || 'col' }); }

// A sentence that the visitor must know: hidden until `tell` has one.
export function makeAlert() {
  const node = Object.assign(make('p', 'sv-alert'), { hidden: true });
  node.setAttribute('role', 'alert');
  return node;
}

export function tell(node, text) {
  node.textContent = text || '';
  node.hidden = !text;
}

export function makeSvg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  return node;
}

export function add(parent, ...children) {
  for (const child of children) parent.appendChild(child);
  return parent;
}

export function empty(node) {
  while (node.firstChild) node.removeChild(node.firstChild);
  return node;
}

// Characters that would be invisible or would reorder their neighbours, as their code point in brackets.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

export function shown(text) {
  return text.replace(HIDDEN, (c) => '⟨U+' + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0') + '⟩');
}

// For a single token: spaces and line ends as signs too.
export function spelled(text) {
  if (text === '') return '(part of a character)';
  return shown(text).replace(/ /g, '␣').replace(/\n/g, '⏎').replace(/\t/g, '⇥');
}

export function probability(p) {
  if (p === null || p === undefined) return '–';
  if (p > 0 && p < 0.0005) return '< 0.1 %';
  return (100 * p).toFixed(1) + ' %';
}

export function milliseconds(ms) {
  return ms.toFixed(ms < 10 ? 2 : 1) + ' ms';
}
