/**
 * Cuts CommonMark into pieces that each fit one message.
 *
 * text ─▶ window of one message ─▶ lines, fences, spans ─▶ best boundary ─▶ piece, and on from there
 *
 * A cut is decided by the window before it alone, never by what follows: a text that grows at its end changes only
 * its last piece, which is what lets a streamed answer run over into further messages. It also keeps the work linear.
 */
import { closingLine, type Fence, type LineRole, openingLine, readLine, reopened } from './fence.ts';
import { type Span, spansOf } from './spans.ts';

/** One message's share of a text. */
export interface Piece {
  /** What to show: the source, less white space at its edges, plus the lines that close and re-open a cut fence. */
  text: string;
  /** The part of the original that this piece stands for, with nothing added and nothing dropped. */
  source: string;
}

interface Line {
  start: number;
  end: number;
  role: LineRole;
  after: Fence | undefined;
  /** Whether its end is known, and not just the end of the window. */
  whole: boolean;
}

interface Cut {
  end: number;
  /** The fence that is open at the cut. */
  fence: Fence | undefined;
}

/**
 * How much of a limit a text takes up, where that is not its length: the sum over its units, none of which weighs less
 * than 1 or more than `>`, or other signs that stand before a fence.
 */
export type Weigh = (text: string) => number;

const byLength: Weigh = (text) => text.length;

/** Puts the original text together again. */
export function rejoin(pieces: readonly Piece[]): string {
  return pieces.map((piece) => piece.source).join('');
}

/**
 * Cuts `text` into pieces of at most `limit` UTF-16 units each, or as `weigh` counts them. Prefers to cut between paragraphs, then lines,
 * sentences and words, as long as the piece is at least half full; never within a link, a code span or a grapheme
 * that could fit a message by itself. A fence that is cut is closed and opened again with the same info string.
 * Blank text gives one piece that shows nothing; empty text gives none.
 */
export function chunk(text: string, limit: number, weigh: Weigh = byLength): Piece[] {
  if (!(limit >= 16)) throw new RangeError(`a piece needs at least 16 units of room, not ${limit}`);
  const pieces: Piece[] = [];
  const longestOpening = Math.floor(limit / 4 / weigh('>'));
  const textEnd = text.trimEnd().length;
  let at = 0;
  let begin = skipBlankLines(text, 0, limit);
  let open = '';
  let fence: Fence | undefined;
  while (at < text.length) {
    const room = unitsThatFit(text, begin, limit - weigh(open), weigh);
    if (textEnd - begin <= room) {
      pieces.push({ text: textEnd > begin ? open + text.slice(begin, textEnd) : '', source: text.slice(at) });
      break;
    }
    const window = text.slice(begin, begin + room + 1);
    const cut = findCut(window, room, fence, longestOpening, weigh);
    const next = skipSeparator(text, begin + cut.end, cut, limit);
    const shown = open + window.slice(0, cut.end).trimEnd();
    pieces.push({
      text: cut.fence ? `${shown}\n${closingLine(cut.fence)}` : shown,
      source: text.slice(at, next),
    });
    at = next;
    begin = next;
    fence = cut.fence && reopened(cut.fence);
    open = fence ? reopening(fence, text[next - 1] !== '\n') : '';
  }
  return pieces;
}

/** How many units of `text` from `from` on weigh no more than `most`. */
function unitsThatFit(text: string, from: number, most: number, weigh: Weigh): number {
  let at = from;
  for (let left = most; at < text.length; at++) {
    left -= weigh(text.charAt(at));
    if (left < 0) break;
  }
  return at - from;
}

/** What a piece that goes on within a fence begins with; a line cut in two also needs the `>` of the quote around it. */
function reopening(fence: Fence, midLine: boolean): string {
  return `${openingLine(fence)}\n${midLine && fence.lead.includes('>') ? fence.lead : ''}`;
}

/** Past blank lines, and past an indentation so wide that it would fill the message with nothing. */
function skipBlankLines(text: string, from: number, limit: number): number {
  let line = from;
  let i = from;
  for (; i < text.length && /\s/.test(text.charAt(i)); i++) if (text[i] === '\n') line = i + 1;
  return i - line > limit / 4 ? i : line;
}

/** Past the white space that a cut replaces. Code keeps its indentation, text begins with a word. */
function skipSeparator(text: string, from: number, cut: Cut, limit: number): number {
  if (cut.fence) return skipBlankLines(text, from, limit);
  let i = from;
  while (i < text.length && /\s/.test(text.charAt(i))) i++;
  return i;
}

/** `window` holds one unit more than `room`, so that a boundary right at the end can be told. */
function findCut(
  window: string,
  room: number,
  fence: Fence | undefined,
  longestOpening: number,
  weigh: Weigh,
): Cut {
  const lines = readLines(window, fence, longestOpening);
  const spans = proseSpans(window, lines, room);
  const last = endsWithinPair(window, room) ? room - 1 : room;
  const first = window.length - window.trimStart().length;
  const half = room / 2;
  const usable = (cut: Cut): boolean =>
    cut.end > first &&
    cut.end <= last - costOf(cut.fence, weigh) &&
    !spans.some((span) => span.start < cut.end && cut.end < span.end);
  const latest = (cuts: Cut[]): Cut | undefined => cuts.findLast(usable);

  const paragraph = latest(lineCuts(window, lines, true));
  if (paragraph && paragraph.end >= half) return paragraph;
  const line = latest(lineCuts(window, lines, false));
  if (line && line.end >= half) return line;
  const sentence = latest(sentenceCuts(window, lines));
  if (sentence && sentence.end >= half) return sentence;
  const word = lastWordCut(window, lines, last, usable);
  const beforeSpan = latest(
    spans.map((span) => ({ end: span.start, fence: undefined })).sort((a, b) => a.end - b.end),
  );
  const best = [line, word, beforeSpan].reduce((a, b) => (b && b.end > (a?.end ?? 0) ? b : a), undefined);
  return best ?? graphemeCut(window, lines, first, last, weigh);
}

function readLines(window: string, fence: Fence | undefined, longestOpening: number): Line[] {
  const lines: Line[] = [];
  let before = fence;
  for (let start = 0; start < window.length; ) {
    const newline = window.indexOf('\n', start);
    const end = newline === -1 ? window.length : newline;
    const { role, after } = readLine(window.slice(start, end), before, longestOpening);
    lines.push({ start, end, role, after, whole: newline !== -1 });
    before = after;
    start = end + 1;
  }
  return lines;
}

const isBlank = (window: string, line: Line): boolean => window.slice(line.start, line.end).trim() === '';

/** The spans of every paragraph outside fences, with offsets into the window. */
function proseSpans(window: string, lines: readonly Line[], room: number): Span[] {
  const spans: Span[] = [];
  let start: number | undefined;
  const finish = (end: number, openEnded: boolean): void => {
    if (start === undefined) return;
    const from = start;
    for (const span of spansOf(window.slice(from, end), openEnded, room / 2)) {
      spans.push({ start: from + span.start, end: from + span.end });
    }
    start = undefined;
  };
  for (const line of lines) {
    if (line.role === 'text' && !isBlank(window, line)) start ??= line.start;
    else finish(line.start, false);
  }
  finish(window.length, true);
  return spans;
}

/** Cuts at line ends: those between blocks, or all. Never one that would leave a fence with nothing in it. */
function lineCuts(window: string, lines: readonly Line[], betweenBlocks: boolean): Cut[] {
  return lines.flatMap((line, i): Cut[] => {
    if (!line.whole || line.role === 'open') return [];
    const next = lines[i + 1];
    const inCode = line.after !== undefined;
    if (inCode && next && startsClosing(window, next, line.after)) return [];
    const between =
      !inCode &&
      (next === undefined || line.role === 'close' || next.role === 'open' || isBlank(window, next));
    if (betweenBlocks && !between) return [];
    const underline =
      !between && next?.whole && /^ {0,3}(=+|-+)\s*$/.test(window.slice(next.start, next.end));
    return underline ? [] : [{ end: line.end, fence: line.after }];
  });
}

/** Also true of a closing line whose end the window does not show. */
function startsClosing(window: string, line: Line, fence: Fence | undefined): boolean {
  return (
    fence !== undefined && window.slice(line.start).trimStart().startsWith(closingLine(fence).trimStart())
  );
}

const SENTENCE_END = /[.!?…]+["'”’)\]*_]*(?=\s)|[。！？]+["”’」』）]*/gu;

function sentenceCuts(window: string, lines: readonly Line[]): Cut[] {
  return lines
    .filter((line) => line.role === 'text')
    .flatMap((line) =>
      [...window.slice(line.start, line.end + 1).matchAll(SENTENCE_END)].map(
        (match): Cut => ({
          end: line.start + match.index + match[0].length,
          fence: undefined,
        }),
      ),
    )
    .filter((cut) => !startsBlock(window, cut.end));
}

/** Whether the text after a cut within a line would be taken for a heading, list item, quote or fence. */
function startsBlock(window: string, from: number): boolean {
  return /^\s+(?:[-+*>#=|~`]|\d+[.)])/.test(window.slice(from, from + 16));
}

const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}、，]/u;
const JOINED = /^(?:\p{M}|\p{Pe}|\p{Pf}|\p{Po}|\u200d)/u;

/** White space, or the end of a letter of a script that is written without. Code is cut at lines only. */
function lastWordCut(
  window: string,
  lines: readonly Line[],
  last: number,
  usable: (cut: Cut) => boolean,
): Cut | undefined {
  for (const line of lines.toReversed()) {
    if (line.role !== 'text') continue;
    for (let end = Math.min(line.end, last); end > line.start; end--) {
      const next = window.charAt(end);
      const boundary =
        (/\s/.test(next) && !startsBlock(window, end)) ||
        (UNSPACED.test(window.charAt(end - 1)) && !JOINED.test(next));
      const cut: Cut = { end, fence: undefined };
      if (boundary && usable(cut)) return cut;
    }
  }
  return undefined;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Where the grapheme that holds the unit at `index` begins, as far as `text` can tell. */
function startOfGrapheme(text: string, index: number): number {
  const known = /[\ud800-\udbff]$/.test(text) ? text.slice(0, -1) : text;
  return graphemes.segment(known).containing(Math.min(index, known.length - 1))?.index ?? 0;
}

/** Within a word or a line of code that is longer than a message: before its last grapheme there is room for. */
function graphemeCut(window: string, lines: readonly Line[], first: number, last: number, weigh: Weigh): Cut {
  for (const line of lines.toReversed()) {
    const fence = line.role === 'code' ? line.after : undefined;
    const most = Math.min(line.end - 1, last - costOf(fence, weigh));
    const from = Math.max(line.start, first);
    if (most <= from || line.role === 'open' || line.role === 'close') continue;
    const start = from + startOfGrapheme(window.slice(from), most - from);
    if (start > from) return { end: start, fence };
    return { end: endsWithinPair(window, most) ? most - 1 : most, fence };
  }
  return { end: last, fence: undefined };
}

/** What closing a fence adds to a piece: a line of its own. */
function costOf(fence: Fence | undefined, weigh: Weigh): number {
  return fence ? weigh(closingLine(fence)) + 1 : 0;
}

function endsWithinPair(text: string, end: number): boolean {
  return /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(end - 1, end + 1));
}
