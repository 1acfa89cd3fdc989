/**
 * A Markdown tree as Slack's mrkdwn.
 *
 * mrkdwn has `*bold*`, `_italic_`, `~strike~`, code, `>` quotes and `<url|label>`, each within one line, and reads a
 * sign as markup only between a word and something else (https://docs.slack.dev/messaging/formatting-message-text).
 * It has no escape for its signs: a literal `*word*` shows bold. `&`, `<` and `>` are escaped everywhere, so no
 * `<!channel>` and no `<@U…>` of a text can call anybody.
 */
import type { Root } from 'mdast';
import { type Dialect, renderBlocks } from './blocks.ts';
import { plainText, type Run, type Style } from './runs.ts';

/** A zero-width space: parts what Slack would otherwise join. */
const APART = '\u200b';

export function slackMrkdwn(root: Root, alignTables: boolean): string {
  return renderBlocks(root, dialect, alignTables);
}

/** Text that shows as it stands, but for the signs that have no escape. Never calls anybody. */
export function escapeMrkdwn(text: string): string {
  return escapeSigns(text).replace(/(?<![a-z0-9.])@(?=(?:here|channel|everyone|group)\b)/gi, `@${APART}`);
}

/** At least as much as {@link escapeMrkdwn} makes of a text. */
export function weighMrkdwn(text: string): number {
  let weight = 0;
  for (let i = 0; i < text.length; i++) weight += WEIGHTS[text.charAt(i)] ?? 1;
  return weight;
}

const WEIGHTS: Readonly<Record<string, number>> = { '&': 5, '<': 4, '>': 4, '@': 2 };

/** Closes the code block that an odd number of ``` leaves open, which would swallow whatever Slack shows after it. */
export function closeFences(text: string): string {
  return (text.match(/`{3,}/g) ?? []).length % 2 === 0 ? text : `${text}\n\`\`\``;
}

function escapeSigns(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** No run of backticks in it is long enough to open or close a code block. */
function withoutFences(text: string): string {
  return text.replace(/``(?=`)/g, `\`\`${APART}`);
}

const prose = (text: string): string => withoutFences(escapeMrkdwn(text));

const dialect: Dialect = {
  escape: prose,
  inline,
  // A language would show as the first line of the code.
  code: (value) => `\`\`\`\n${withoutFences(escapeSigns(value))}\n\`\`\``,
  quote: (text) => text.replace(/^/gm, '> '),
  bullet: '•',
};

const MARKS: ReadonlyArray<[Style, string]> = [
  ['bold', '*'],
  ['italic', '_'],
  ['strike', '~'],
];

/** A stretch that carries the same marks from its first letter to its last. */
interface Stretch {
  text: string;
  /** Around each line of it. */
  open: string;
  close: string;
}

function inline(runs: readonly Run[]): string {
  let written = '';
  let marked = false;
  for (const { text, open, close } of stretchesOf(runs)) {
    for (const part of text.split(/(\n)/)) {
      const [, before = '', core = '', after = ''] = /^(\s*)(.*?)(\s*)$/s.exec(part) ?? [];
      const styled = open !== '' && core !== '';
      const piece = styled ? before + open + core + close + after : part;
      if (piece === '') continue;
      const touches =
        written !== '' && ((marked && !ENDS.test(piece)) || (styled && !BEGINS.test(written + before)));
      written += touches ? APART + piece : piece;
      marked = styled && after === '';
    }
  }
  return written;
}

/** What may stand right before a sign that opens, and right after one that closes. */
const BEGINS = /(?:^|[\s([{"'«“‘/—–:-])$/;
const ENDS = /^[\s)\]}"'»”’/—–:.,;!?…-]/;

function stretchesOf(runs: readonly Run[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (let i = 0; i < runs.length; ) {
    const first = runs[i];
    if (!first) break;
    let end = i + 1;
    while (end < runs.length && belongTogether(first, runs[end])) end++;
    stretches.push(stretchOf(first, runs.slice(i, end)));
    i = end;
  }
  return stretches;
}

function belongTogether(first: Run, next: Run | undefined): boolean {
  if (!next || first.link || next.link) return first.link !== undefined && first.link === next?.link;
  return !first.code && !next.code && marksOf([first]) === marksOf([next]);
}

function stretchOf(first: Run, runs: readonly Run[]): Stretch {
  const text = plainText(runs);
  // Code cannot hold a backtick: such code is shown as text.
  if (first.code && !first.link && !text.includes('`')) {
    return { text: escapeSigns(text), open: '`', close: '`' };
  }
  const open = marksOf(runs);
  const close = [...open].reverse().join('');
  return { text: first.link ? link(first.link.url, text) : prose(text), open, close };
}

/** What all of them carry: the label of a link is marked as a whole. */
function marksOf(runs: readonly Run[]): string {
  return MARKS.filter(([style]) => runs.every((run) => run.styles.has(style)))
    .map(([, mark]) => mark)
    .join('');
}

function link(url: string, label: string): string {
  const address = url.replace(/[\s<>|`]/g, encodeURIComponent).replaceAll('&', '&amp;');
  const shown = prose(label.replace(/\s+/g, ' '));
  return label === url || shown.trim() === '' ? `<${address}>` : `<${address}|${shown}>`;
}
