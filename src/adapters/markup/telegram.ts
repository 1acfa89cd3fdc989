/**
 * A Markdown tree as Telegram's HTML.
 *
 * Telegram has no lists or headings, refuses a message with an unknown or unclosed tag, and lets nothing stand within
 * code (https://core.telegram.org/bots/api#formatting-options).
 */
import type { Root } from 'mdast';
import { type Dialect, renderBlocks } from './blocks.ts';
import type { Run, Style } from './runs.ts';

export function telegramHtml(root: Root, alignTables: boolean): string {
  return renderBlocks(root, dialect, alignTables);
}

/** The length that Telegram's limits speak of: UTF-16 units, once tags are gone and entities are characters. */
export function visibleLength(html: string): number {
  return html.replace(/<[^>]*>/g, '').replace(/&(?:lt|gt|amp|quot);/g, '.').length;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const escapeAttribute = (text: string): string => escapeHtml(text).replaceAll('"', '&quot;');

const dialect: Dialect = {
  inline,
  escape: escapeHtml,
  bullet: '•',
  quote: (html) => `<blockquote>${html}</blockquote>`,
  code(text, language) {
    const code = escapeHtml(text);
    if (!language) return `<pre>${code}</pre>`;
    return `<pre><code class="language-${escapeAttribute(language)}">${code}</code></pre>`;
  },
};

const TAGS: ReadonlyArray<[Style, string]> = [
  ['bold', 'b'],
  ['italic', 'i'],
  ['strike', 's'],
];

interface Tag {
  name: string;
  /** What makes two neighbours share it. */
  key: unknown;
  attributes: string;
}

function tagsOf(run: Run): Tag[] {
  // Code within a link would lose the link, so there it is text; other styles would not show within code.
  if (run.code && !run.link) return [{ name: 'code', key: run, attributes: '' }];
  const styles = TAGS.filter(([style]) => run.styles.has(style)).map(([, name]) => ({
    name,
    key: name,
    attributes: '',
  }));
  if (!run.link) return styles;
  return [{ name: 'a', key: run.link, attributes: ` href="${escapeAttribute(run.link.url)}"` }, ...styles];
}

/** Opens and closes tags between runs only as far as their styles differ. */
function inline(runs: readonly Run[]): string {
  let html = '';
  let open: Tag[] = [];
  const closeTo = (depth: number): void => {
    for (const tag of open.slice(depth).reverse()) html += `</${tag.name}>`;
    open = open.slice(0, depth);
  };
  for (const run of runs) {
    const tags = tagsOf(run);
    const differs = tags.findIndex((tag, i) => open[i]?.key !== tag.key);
    const shared = differs === -1 ? tags.length : differs;
    closeTo(shared);
    for (const tag of tags.slice(shared)) html += `<${tag.name}${tag.attributes}>`;
    open.push(...tags.slice(shared));
    html += escapeHtml(run.text);
  }
  closeTo(0);
  return html;
}
