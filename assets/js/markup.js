// A text as lines of light Markdown: fences, headings, items; bold and code within a line. Read as it comes, token by
// token; nothing of it is ever taken away, so signs remain, marked as such. Pure, and the one place that decides.

const LONGEST_READ = 2000; // characters of a line; what stands behind them has no bold and no code
const TAB = 4; // columns
export const NO_LINE = { text: '', fence: '' };
const OPENING = /^\s*(`{3,}(?=[^`]*$)|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?= )/;
const ITEM = /^\s*([-*+•]|\d{1,9}[.)])(?=\s+\S)/;

// A text cut where its lines end; line ends that follow each other belong together.
export function linesIn(text) { return text.match(/[^\n]+\n*|\n+/g) || ['']; }

// The line that such a cut belongs to, given the one before it: { text, fence }, the fence being the signs of an open one.
export function lineWith(line, part) {
  return line.text.endsWith('\n') ? { text: part, fence: fenceBehind(line) } : { text: line.text + part, fence: line.fence };
}

// For each text the line that it goes on with.
export function linesBefore(texts) {
  let line = NO_LINE;
  return texts.map((text) => {
    const before = line;
    for (const part of linesIn(text)) line = lineWith(line, part);
    return before;
  });
}

function fenceBehind({ text, fence }) {
  const read = headOf(text);
  if (fence) return isClosing(read, fence) ? '' : fence;
  const opening = OPENING.exec(read);
  return opening ? opening[1] : '';
}

// A fence is closed by at least as many of its signs, and nothing else in the line.
function isClosing(text, fence) {
  const signs = text.trim();
  return signs.length >= fence.length && signs === fence[0].repeat(signs.length);
}

function headOf(text) { return text.slice(0, LONGEST_READ).trimEnd(); }

// What a line is, as far as it has come: { kind, level, spans }. A span is [from, to, name] in characters of the line.
export function lookOf({ text, fence }) {
  const read = headOf(text);
  if (fence) return { kind: isClosing(read, fence) ? 'fence' : 'code', level: 0, spans: [] };
  if (OPENING.test(read)) return { kind: 'fence', level: 0, spans: [] };
  const heading = HEADING.exec(read), item = heading ? null : ITEM.exec(read), sign = heading || item;
  const spans = spansOf(read);
  if (sign) spans.unshift([sign[0].length - sign[1].length, sign[0].length, item ? 'item' : 'sign']);
  return { kind: heading ? 'heading' : item ? 'item' : 'text', level: heading ? sign[1].length : 0, spans };
}

// Bold and code that are closed, with their signs. Code is closed by as many backticks as opened it, bold by two stars.
function spansOf(text) {
  const signs = [...text.matchAll(/`+|\*\*/g)].map((found) => [found.index, found[0]]);
  const spans = [], bold = [];
  for (let place = 0; place < signs.length; place++) {
    const [at, sign] = signs[place];
    if (sign === '**') { takeBold(text, at, bold, spans); continue; }
    const end = signs.findIndex((other, later) => later > place && other[1] === sign);
    if (end < 0) continue;
    spans.push(...spanned(at, signs[end][0], sign.length, 'mono'));
    place = end;
  }
  return spans;
}

function takeBold(text, at, bold, spans) {
  const isAfterWord = /\S/.test(text[at - 1] || ' '), isBeforeWord = /\S/.test(text[at + 2] || ' ');
  if (bold.length && isAfterWord) spans.push(...spanned(bold.pop(), at, 2, 'strong'));
  else if (!bold.length && isBeforeWord) bold.push(at);
}

function spanned(from, last, size, name) { return [[from, last + size, name], [from, from + size, 'sign'], [last, last + size, 'sign']]; }

// A stretch of a line that begins at `from`, in pieces of one look each: [text, names of the spans over it].
export function piecesOf(text, from, spans) {
  const till = from + text.length, over = spans.filter(([begin, end]) => begin < till && end > from);
  const cuts = new Set([from, till, ...over.flatMap(([begin, end]) => [begin, end]).filter((at) => at > from && at < till)]);
  const places = [...cuts].sort((a, b) => a - b);
  return places.slice(1).map((end, index) => {
    const begin = places[index];
    return [text.slice(begin - from, end - from), over.filter((span) => span[0] <= begin && span[1] >= end).map((span) => span[2])];
  });
}

// The column in which a line of code goes on where it does not fit: behind its indentation, at a stop of tabs.
export function hangOf(text) {
  let columns = 0;
  for (const sign of /^[ \t]*/.exec(text)[0]) columns += sign === '\t' ? TAB - (columns % TAB) : 1;
  return TAB * Math.ceil((columns + 2) / TAB);
}
