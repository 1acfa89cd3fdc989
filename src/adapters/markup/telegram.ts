/**
 * A Markdown tree as Telegram's HTML: blocks ─▶ parts (text or preformatted) ─▶ joined as far apart as in the source.
 *
 * Telegram has no lists, headings or tables, refuses a message with an unknown or unclosed tag, and lets nothing
 * stand within code (https://core.telegram.org/bots/api#formatting-options).
 */
import type { Definition, ListItem, Nodes, Root, RootContent, Table } from 'mdast';
import { type Definitions, plainText, type Run, runsOf, type Style } from './runs.ts';
import { textTable } from './table.ts';

interface Part {
  html: string;
  /** Preformatted parts cannot stand in a quote and are not indented. */
  preformatted: boolean;
  /** The line breaks between this part and the one before. */
  gap: string;
}

interface Context {
  definitions: Definitions;
  referenced: ReadonlySet<string>;
  alignTables: boolean;
  inQuote: boolean;
}

export function telegramHtml(root: Root, alignTables: boolean): string {
  const definitions = new Map<string, Definition>();
  const referenced = new Set<string>();
  collect(root, definitions, referenced);
  return join(renderAll(root.children, { definitions, referenced, alignTables, inQuote: false }));
}

/** The length that Telegram's limits speak of: UTF-16 units, once tags are gone and entities are characters. */
export function visibleLength(html: string): number {
  return html.replace(/<[^>]*>/g, '').replace(/&(?:lt|gt|amp|quot);/g, '.').length;
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

const escapeAttribute = (text: string): string => escapeHtml(text).replaceAll('"', '&quot;');

/** Collects what the tree defines for references, and which of it is referred to. */
function collect(node: Nodes, definitions: Map<string, Definition>, referenced: Set<string>): void {
  if (node.type === 'definition' && !definitions.has(node.identifier)) definitions.set(node.identifier, node);
  if (node.type === 'linkReference' || node.type === 'imageReference') referenced.add(node.identifier);
  if ('children' in node) for (const child of node.children) collect(child, definitions, referenced);
}

function join(parts: readonly Part[]): string {
  return parts.map((part, i) => (i === 0 ? part.html : part.gap + part.html)).join('');
}

function renderAll(nodes: readonly RootContent[], context: Context): Part[] {
  const parts: Part[] = [];
  let previous: RootContent | undefined;
  for (const node of nodes) {
    const [first, ...rest] = render(node, context);
    if (!first) continue;
    parts.push({ ...first, gap: gapBetween(previous, node) }, ...rest);
    previous = node;
  }
  return parts;
}

/** An empty line where the source has one. */
function gapBetween(before: RootContent | undefined, after: RootContent): string {
  const lines = (after.position?.start.line ?? 2) - (before?.position?.end.line ?? 0);
  return lines > 1 ? '\n\n' : '\n';
}

const text = (html: string): Part[] => (html === '' ? [] : [{ html, preformatted: false, gap: '\n' }]);

const preformatted = (html: string): Part[] => [
  { html: `<pre>${html}</pre>`, preformatted: true, gap: '\n' },
];

function render(node: RootContent, context: Context): Part[] {
  switch (node.type) {
    case 'paragraph':
      return text(inline(runsOf(node.children, context.definitions)));
    case 'heading':
      return text(inline(runsOf(node.children, context.definitions, ['bold'])));
    case 'thematicBreak':
      return text('———');
    case 'html':
      return text(escapeHtml(node.value));
    case 'code': {
      if (node.value.trim() === '') return [];
      const code = escapeHtml(node.value);
      const language = node.lang ? ` class="language-${escapeAttribute(node.lang)}"` : '';
      return preformatted(language ? `<code${language}>${code}</code>` : code);
    }
    case 'blockquote': {
      const parts = renderAll(node.children, { ...context, inQuote: true });
      return context.inQuote ? parts : quote(parts);
    }
    case 'list': {
      const first = node.start ?? 1;
      const ordered = node.ordered === true;
      const items = node.children.map((item, i) =>
        renderItem(item, ordered ? `${first + i}.` : '•', context),
      );
      return items.flatMap((parts, i) => {
        const item = node.children[i];
        const [head, ...rest] = parts;
        if (!head || !item) return [];
        return [{ ...head, gap: gapBetween(node.children[i - 1], item) }, ...rest];
      });
    }
    case 'table':
      return tableParts(node, context);
    case 'definition':
      // What refers to it may stand in another message, where it is not known.
      return context.referenced.has(node.identifier)
        ? []
        : text(escapeHtml(`[${node.label ?? node.identifier}]: ${node.url}`));
    case 'footnoteDefinition':
      return marked(`[${escapeHtml(node.label ?? node.identifier)}]`, '', renderAll(node.children, context));
    default:
      return [];
  }
}

function renderItem(item: ListItem, marker: string, context: Context): Part[] {
  const box = item.checked == null ? '' : item.checked ? ' ☑' : ' ☐';
  return marked(marker + box, '  ', renderAll(item.children, context));
}

/** Puts a marker before the first line, and indents the others. */
function marked(marker: string, indent: string, parts: readonly Part[]): Part[] {
  const [first, ...rest] = parts;
  const indented = (html: string): string => html.replaceAll('\n', `\n${indent}`);
  const head =
    first?.preformatted === false ? [{ ...first, html: `${marker} ${indented(first.html)}` }] : text(marker);
  const others = first?.preformatted === false ? rest : parts;
  return [
    ...head,
    ...others.map((part) => (part.preformatted ? part : { ...part, html: indent + indented(part.html) })),
  ];
}

/** Wraps what may stand in a quote, and lets preformatted parts stand between. */
function quote(parts: readonly Part[]): Part[] {
  const quoted: Part[] = [];
  let run: Part[] = [];
  const finish = (): void => {
    const [first] = run;
    if (first) quoted.push({ ...first, html: `<blockquote>${join(run)}</blockquote>` });
    run = [];
  };
  for (const part of parts) {
    if (part.preformatted) {
      finish();
      quoted.push(part);
    } else {
      run.push(part);
    }
  }
  finish();
  return quoted;
}

function tableParts(table: Table, context: Context): Part[] {
  const rows = table.children.map((row) =>
    row.children.map((cell) =>
      plainText(runsOf(cell.children, context.definitions)).replace(/\s+/g, ' ').trim(),
    ),
  );
  const lines = textTable(rows, table.align ?? [], context.alignTables);
  return lines.trim() === '' ? [] : preformatted(escapeHtml(lines));
}

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
