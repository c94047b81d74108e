// Scripts of the world: where one token's letters join the next one's, and what would turn a sentence around.

// Scripts whose letters change shape with their neighbours', or form one syllable with the signs beside them.
const SHAPED_SCRIPTS = 'Adlm Arab Beng Deva Gujr Guru Khmr Knda Laoo Mand Mlym Mong Mymr Nkoo Orya Phag Rohg Sinh Syrc Taml Telu Thai Tibt'.split(' ');
const SHAPED = new RegExp('^(?=[\\p{L}\\p{M}])[' + SHAPED_SCRIPTS.map((name) => `\\p{Script_Extensions=${name}}`).join('') + ']', 'u');
// What stands on the letter before it: accents, vowel signs, skin tones.
const MARK = /^[\p{M}\p{Emoji_Modifier}]/u;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

// Whether the last letter of one text and the first of the next are drawn as one, so that nothing may stand between them.
function joins(before, after) {
  const last = [...before].pop() ?? ' ';
  if (/^\s/u.test(last)) return false;
  return MARK.test(after) || (SHAPED.test(last) && SHAPED.test(after));
}

// A text inside a sentence of ours, between signs that keep its direction from what stands around it.
export function isolated(text) { return RIGHT_TO_LEFT.test(text) ? '\u2068' + text + '\u2069' : text; }

// Drafts that did not survive, and how many more there were: they never belonged to the text.
export function isGhost(node) { return ['is-rejected', 'is-unreached', 'sv-more'].some((name) => node.classList.contains(name)); }

// Letters that are drawn as one stay together across tokens: the marks of both keep off the line between them.
export function tie(node) {
  const parts = [node];
  let before = node.previousElementSibling;
  for (; before && (isGhost(before) || before.textContent === ''); before = before.previousElementSibling) if (!isGhost(before)) parts.push(before);
  if (before && joins(before.textContent, node.textContent)) for (const part of [before, ...parts]) part.classList.add('is-joined');
}
