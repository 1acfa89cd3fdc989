/** Inline constructs that must not be cut in two: code spans, links and images. */

/** Offsets into the text that was given, the end exclusive. */
export interface Span {
  start: number;
  end: number;
}

/** The place after the run of backticks that closes the one of `length` before `from`, or -1. */
function closingBackticks(text: string, from: number, length: number): number {
  for (let i = text.indexOf('`', from); i !== -1; i = text.indexOf('`', i)) {
    const start = i;
    while (text[i] === '`') i++;
    if (i - start === length) return i;
  }
  return -1;
}

/** The place after the bracket that closes the one at `from`, or -1. */
function closingBracket(text: string, from: number, open: string, close: string): number {
  let depth = 0;
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (c === '\\') i++;
    else if (c === open) depth++;
    else if (c === close && --depth === 0) return i + 1;
  }
  return -1;
}

/**
 * The spans of one paragraph. With `openEnded` the paragraph goes on after `text`: a link's address that is not
 * closed yet then reaches to the end, and so does an opening bracket or backtick in its last `pending` units, which
 * may still become a link or code.
 */
export function spansOf(text: string, openEnded: boolean, pending: number): Span[] {
  const spans: Span[] = [];
  const brackets: number[] = [];
  const rest = (start: number): void => {
    if (openEnded) spans.push({ start, end: Number.POSITIVE_INFINITY });
  };
  const mayClose = (start: number): boolean => text.length - start <= pending;

  for (let i = 0; i < text.length; ) {
    const c = text[i];
    if (c === '\\') {
      i += 2;
    } else if (c === '`') {
      const start = i;
      while (text[i] === '`') i++;
      const end = closingBackticks(text, i, i - start);
      if (end !== -1) {
        spans.push({ start, end });
        i = end;
      } else if (mayClose(start)) {
        rest(start);
      }
    } else if (c === '[') {
      brackets.push(text[i - 1] === '!' ? i - 1 : i);
      i++;
    } else if (c === ']') {
      const start = brackets.pop();
      const next = text[i + 1];
      i++;
      if (start === undefined) continue;
      if (next === undefined && mayClose(start)) rest(start);
      if (next !== '(' && next !== '[') continue;
      const end = next === '(' ? closingBracket(text, i, '(', ')') : closingBracket(text, i, '[', ']');
      if (end === -1) {
        if (next === '(' || mayClose(start)) rest(start);
      } else {
        spans.push({ start, end });
        i = end;
      }
    } else {
      i++;
    }
  }
  for (const start of brackets) if (mayClose(start)) rest(start);
  return spans;
}
