/**
 * The blocks of a Markdown tree, as a platform writes them: blocks ─▶ parts (text or preformatted) ─▶ joined as far
 * apart as in the source. Chat platforms have no tables, and what is preformatted stands by itself.
 */
import type { Definition, ListItem, Nodes, Root, RootContent, Table } from 'mdast';
import { type Definitions, plainText, type Run, runsOf, type Style } from './runs.ts';
import { textTable } from './table.ts';

/** How a platform writes what it shows. */
export interface Dialect {
  /** A paragraph, a heading's text or a list item's. */
  inline(runs: readonly Run[]): string;
  /** Text that is to be shown as it stands. */
  escape(text: string): string;
  /** A block of code, not blank. `language` is the writer's, of any form. */
  code(text: string, language: string | undefined): string;
  quote(text: string): string;
  /** What a heading of this depth begins with. Where there is nothing, it is bold. */
  heading?(depth: number): string | undefined;
  /** What a list item without a number begins with. */
  bullet: string;
}

interface Part {
  text: string;
  /** Preformatted parts cannot stand in a quote and are not indented. */
  preformatted: boolean;
  /** The line breaks between this part and the one before. */
  gap: string;
}

interface Context {
  dialect: Dialect;
  definitions: Definitions;
  referenced: ReadonlySet<string>;
  alignTables: boolean;
  inQuote: boolean;
}

export function renderBlocks(root: Root, dialect: Dialect, alignTables: boolean): string {
  const definitions = new Map<string, Definition>();
  const referenced = new Set<string>();
  collect(root, definitions, referenced);
  return join(renderAll(root.children, { dialect, definitions, referenced, alignTables, inQuote: false }));
}

/** Collects what the tree defines for references, and which of it is referred to. */
function collect(node: Nodes, definitions: Map<string, Definition>, referenced: Set<string>): void {
  if (node.type === 'definition' && !definitions.has(node.identifier)) definitions.set(node.identifier, node);
  if (node.type === 'linkReference' || node.type === 'imageReference') referenced.add(node.identifier);
  if ('children' in node) for (const child of node.children) collect(child, definitions, referenced);
}

function join(parts: readonly Part[]): string {
  return parts.map((part, i) => (i === 0 ? part.text : part.gap + part.text)).join('');
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

const text = (shown: string): Part[] =>
  shown === '' ? [] : [{ text: shown, preformatted: false, gap: '\n' }];

const preformatted = (shown: string): Part[] => [{ text: shown, preformatted: true, gap: '\n' }];

function render(node: RootContent, context: Context): Part[] {
  const { dialect, definitions } = context;
  const inline = (styles: Style[], children: Parameters<typeof runsOf>[0]): string =>
    dialect.inline(runsOf(children, definitions, styles));

  switch (node.type) {
    case 'paragraph':
      return text(inline([], node.children));
    case 'heading': {
      const mark = dialect.heading?.(node.depth);
      if (mark === undefined) return text(inline(['bold'], node.children));
      const line = inline([], node.children).replaceAll('\n', ' ');
      return text(line.trim() === '' ? '' : mark + line);
    }
    case 'thematicBreak':
      return text('———');
    case 'html':
      return text(dialect.escape(node.value));
    case 'code':
      return node.value.trim() === '' ? [] : preformatted(dialect.code(node.value, node.lang ?? undefined));
    case 'blockquote': {
      const parts = renderAll(node.children, { ...context, inQuote: true });
      return context.inQuote ? parts : quote(parts, dialect);
    }
    case 'list': {
      const first = node.start ?? 1;
      const ordered = node.ordered === true;
      const items = node.children.map((item, i) =>
        renderItem(item, ordered ? `${first + i}.` : dialect.bullet, context),
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
        : text(dialect.escape(`[${node.label ?? node.identifier}]: ${node.url}`));
    case 'footnoteDefinition':
      return marked(
        dialect.escape(`[${node.label ?? node.identifier}]`),
        '',
        renderAll(node.children, context),
      );
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
  const indented = (shown: string): string => shown.replaceAll('\n', `\n${indent}`);
  const head =
    first?.preformatted === false ? [{ ...first, text: `${marker} ${indented(first.text)}` }] : text(marker);
  const others = first?.preformatted === false ? rest : parts;
  return [
    ...head,
    ...others.map((part) => (part.preformatted ? part : { ...part, text: indent + indented(part.text) })),
  ];
}

/** Wraps what may stand in a quote, and lets preformatted parts stand between. */
function quote(parts: readonly Part[], dialect: Dialect): Part[] {
  const quoted: Part[] = [];
  let run: Part[] = [];
  const finish = (): void => {
    const [first] = run;
    if (first) quoted.push({ ...first, text: dialect.quote(join(run)) });
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
  return lines.trim() === '' ? [] : preformatted(context.dialect.code(lines, undefined));
}
