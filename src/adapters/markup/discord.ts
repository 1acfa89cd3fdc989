/**
 * A Markdown tree as Discord's Markdown, which is CommonMark's with differences: no tables, no images, headings to the
 * third level, fences of three backticks alone, links to the web alone, and mentions
 * (https://support.discord.com/hc/en-us/articles/210298617).
 */
import type { Root } from 'mdast';
import { type Dialect, renderBlocks } from './blocks.ts';
import type { Run, Style } from './runs.ts';

/** Parts what would be one word of Discord's syntax, and is not seen. */
const SEAM = '\u200b';

export function discordMarkdown(root: Root, alignTables: boolean): string {
  return renderBlocks(root, dialect, alignTables);
}

/** Where Discord would write something else than is there: people, roles, rooms, emoji, times, commands. */
const REFERENCE = /<(?=@[!&]?\d|#\d|a?:\w+:\d|t:-?\d|\/[^<>\n]*:\d|id:\w)/gi;
const EVERYBODY = /@(?=everyone|here)/gi;

/** Mentions, and whatever else Discord has its own form for, as mere text. */
export function inert(text: string): string {
  return text.replace(REFERENCE, `$&${SEAM}`).replace(EVERYBODY, `$&${SEAM}`);
}

/** The same, for text that must not become longer: by characters that look alike. */
export function inertInPlace(text: string): string {
  return text.replace(REFERENCE, '‹').replace(EVERYBODY, '＠');
}

/** As text that shows every character. */
export function escapeDiscord(text: string): string {
  return inert(
    text
      .replace(/[\\*_`]|~(?=~)|(?<=~)~|\|(?=\|)|(?<=\|)\|/g, '\\$&')
      .replace(/\](?=\()/g, '\\]')
      .replace(/^(\s*)([#>+-])/gm, '$1\\$2')
      .replace(/^(\s*\d+)([.)])/gm, '$1\\$2'),
  );
}

const dialect: Dialect = {
  inline,
  escape: escapeDiscord,
  bullet: '-',
  quote: (text) => text.replace(/^/gm, '> '),
  heading: (depth) => (depth <= 3 ? `${'#'.repeat(depth)} ` : undefined),
  code(text, language = '') {
    const code = text.replace(/`(?=``)/g, `$&${SEAM}`);
    return `\`\`\`${language.replace(/[^a-z0-9_+.#-]/gi, '')}\n${code}\n\`\`\``;
  },
};

const MARKERS: ReadonlyArray<[Style, string]> = [
  ['bold', '**'],
  ['italic', '*'],
  ['strike', '~~'],
];

/** Runs that belong to one link are written as one. */
function inline(runs: readonly Run[]): string {
  let shown = '';
  for (let i = 0; i < runs.length; ) {
    const link = runs[i]?.link;
    let end = i + 1;
    while (link && runs[end]?.link === link) end++;
    const part = runs.slice(i, end);
    shown += link ? linked(part, link.url) : styled(part);
    i = end;
  }
  return shown;
}

function linked(runs: readonly Run[], url: string): string {
  const label = runs.map((run) => run.text).join('');
  if (!/^https?:\/\/[^\s<>]+$/i.test(url)) {
    return label === url ? styled(runs) : `${styled(runs)} (${escapeDiscord(url)})`;
  }
  const address = url.replace(EVERYBODY, '%40');
  if (label === url) return address;
  // Discord shows no link whose text is one: it could be another.
  if (/https?:\/\//i.test(label) || label.includes('\n')) return `${styled(runs)} (${address})`;
  const text = styled(runs).replace(/(?<!\\)[[\]]/g, '\\$&');
  return `[${text}](${address.replaceAll('(', '%28').replaceAll(')', '%29')})`;
}

/** Opens and closes markers between runs only as far as their styles differ. */
function styled(runs: readonly Run[]): string {
  let shown = '';
  let open: string[] = [];
  let afterMarker = false;
  const mark = (marker: string): void => {
    // Two markers of one character side by side would be read as a third.
    shown += afterMarker && shown.endsWith(marker.charAt(0)) ? SEAM + marker : marker;
    afterMarker = true;
  };
  const closeTo = (depth: number): void => {
    // A marker with a space before it would not close.
    const space = open.length > depth ? (/\s+$/.exec(shown)?.[0] ?? '') : '';
    shown = shown.slice(0, shown.length - space.length);
    while (open.length > depth) mark(open.pop() ?? '');
    shown += space;
    if (space !== '') afterMarker = false;
  };
  for (const run of runs) {
    const markers = run.code
      ? []
      : MARKERS.filter(([style]) => run.styles.has(style)).map(([, marker]) => marker);
    const blank = run.text.trim() === '';
    const differs = markers.findIndex((marker, i) => open[i] !== marker);
    closeTo(differs === -1 ? markers.length : differs);
    const space = /^\s*/.exec(run.text)?.[0] ?? '';
    shown += space;
    if (space !== '') afterMarker = false;
    if (blank) continue;
    for (const marker of markers.slice(open.length)) {
      mark(marker);
      open = [...open, marker];
    }
    shown += run.code ? codeSpan(run.text) : escapeDiscord(run.text.slice(space.length));
    afterMarker = false;
  }
  closeTo(0);
  return shown;
}

function codeSpan(code: string): string {
  const flat = code.replaceAll('\n', ' ');
  if (!flat.includes('`')) return `\`${flat}\``;
  const parted = flat.replace(/`(?=`)/g, `\`${SEAM}`);
  return `\`\`${parted.startsWith('`') ? ' ' : ''}${parted}${parted.endsWith('`') ? ' ' : ''}\`\``;
}
