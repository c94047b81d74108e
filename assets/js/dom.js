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

// Whether a key was pressed for what it does on the page, rather than to write it.
export function isKeyFor(letter, event) {
  const isTyped = event.target instanceof Element && event.target.closest('input, textarea, select, [contenteditable]') !== null;
  return event.key.toLowerCase() === letter && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyped;
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
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
// Spaces of other kinds: a text is set with them, a single token tells which it is.
const SPACES = /[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]/g;
// Scripts whose letters change shape with their neighbours', or form one syllable with the signs beside them.
const SHAPED_SCRIPTS = 'Adlm Arab Beng Deva Gujr Guru Khmr Knda Laoo Mand Mlym Mong Mymr Nkoo Orya Phag Rohg Sinh Syrc Taml Telu Thai Tibt'.split(' ');
export const SHAPED = '(?=[\\p{L}\\p{M}])[' + SHAPED_SCRIPTS.map((name) => `\\p{Script_Extensions=${name}}`).join('') + ']';
// Behind which joiners and non-joiners do their work, and are no more hidden than an accent is.
const JOINABLE = new RegExp(`(?:${SHAPED}|\\p{Extended_Pictographic}|\\p{Emoji_Modifier}|\\ufe0f)$`, 'u');

function coded(sign) { return '⟨U+' + sign.codePointAt(0).toString(16).toUpperCase().padStart(4, '0') + '⟩'; }

export function shown(text) { return shownBehind('', text); }

// The same of a text that follows another one.
export function shownBehind(before, text) {
  const isJoiner = (sign, at) => /[\u200c\u200d]/.test(sign) && JOINABLE.test((before.slice(-2) + text.slice(0, at)).slice(-2));
  return text.replace(HIDDEN, (sign, at) => (isJoiner(sign, at) ? sign : coded(sign)));
}

// For a single token: spaces and line ends as signs too.
export function spelled(text) {
  if (text === '') return '(part of a character)';
  return text.replace(HIDDEN, coded).replace(SPACES, coded).replace(/ /g, '␣').replace(/\n/g, '⏎').replace(/\t/g, '⇥');
}

export function probability(p) {
  if (p === null || p === undefined) return '–';
  if (p > 0 && p < 0.0005) return '< 0.1 %';
  return (100 * p).toFixed(1) + ' %';
}

export function milliseconds(ms) {
  return ms.toFixed(ms < 10 ? 2 : 1) + ' ms';
}
